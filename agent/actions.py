"""What can be ordered here: every action, with the parts of the agent that carry it out."""

from collections.abc import Callable, Collection
from typing import Any

from agent import VERSION
from agent.hands import Hands, Status
from commands.action import Action
from commands.actions.agent_restart import agent_restart
from commands.actions.announce import announce
from commands.actions.certificate import (
    Certificates,
    certificate_install,
    certificate_request,
)
from commands.actions.diagnostics import diagnostics
from commands.actions.door import door_lock, door_unlock
from commands.actions.identity import (
    Enrolments,
    identity_enroll,
    identity_list,
    identity_remove,
)
from commands.actions.keys import keys_update
from commands.actions.log import log_fetch, log_level
from commands.actions.maintenance import maintenance_off, maintenance_on
from commands.actions.ping import ping
from commands.actions.power import poweroff, reboot
from commands.actions.service import service_lock, service_unlock
from commands.actions.snapshot import snapshot
from commands.actions.update import Updates, update_install
from commands.actions.watch_list import (
    WatchLists,
    watch_list_list,
    watch_list_put,
    watch_list_remove,
)
from commands.desk.desk import Desk
from commands.policy import Policy
from commands.trust import Trust
from contract import Clock, Stamp
from contract.actions import ConfigPush


def kiosk_actions(
    *,
    config_push: Action[ConfigPush],
    certificates: Certificates,
    trust: Trust,
    keys_policy: Policy,
    desk: Desk,
    hands: Hands,
    watch_lists: WatchLists,
    enrolments: Enrolments,
    identity_cameras: Collection[str],
    updates: Updates,
    status: Status,
    restart: Callable[[], None],
    started: Stamp,
    clock: Clock,
) -> tuple[Action[Any], ...]:
    """Make them all; ``cancel`` is the executor's own.

    Args:
        config_push: that action, made with the keeper of settings.
        certificates: who keeps the kiosk's certificate.
        trust: the operators' keys.
        keys_policy: who may replace them.
        desk: the state of the kiosk's business.
        hands: the machine, the door, pictures, the journal.
        watch_lists: which plates are looked for.
        enrolments: who of the staff is enrolled.
        identity_cameras: those before which faces are compared.
        updates: the releases on this kiosk.
        status: what ``kiosk-agent status`` shows.
        restart: ends this process in order, so that it is run again.
        started: when this process started.
        clock: the time of actions.
    """
    machine, media = hands.machine, hands.send_media
    return (
        ping(VERSION),
        agent_restart(restart, started=started, clock=clock),
        announce(desk),
        certificate_install(certificates),
        certificate_request(certificates),
        config_push,
        diagnostics(hands.diagnostics(status).collect, media),
        door_lock(hands.door),
        door_unlock(hands.door),
        identity_enroll(enrolments, cameras=identity_cameras),
        identity_list(enrolments),
        identity_remove(enrolments),
        keys_update(trust, policy=lambda: keys_policy, clock=clock),
        log_fetch(hands.journal, media),
        log_level(hands.level),
        maintenance_off(desk),
        maintenance_on(desk),
        poweroff(machine, desk, desk, clock),
        reboot(machine, desk, desk, clock),
        service_lock(desk),
        service_unlock(desk),
        snapshot(hands.pictures.take, media, cameras=hands.frames),
        update_install(updates, desk, clock),
        watch_list_list(watch_lists),
        watch_list_put(watch_lists),
        watch_list_remove(watch_lists),
    )
