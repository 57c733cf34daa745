"""What comes in, and everything that it takes to obey: made once and wired."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from agent.actions import kiosk_actions
from agent.boot import Boot
from agent.config.document import read_document
from agent.config.keeper import ConfigKeeper
from agent.config.pushed import settings_with
from agent.config.trial import Stage
from agent.hands import Hands, Status
from agent.identity.identity import Identity
from agent.logind import Logind
from agent.parts import Parts
from agent.provision.renewal import Renewal
from agent.release.launched import launched
from agent.release.updates import Updates, Wellness
from agent.state_file import StateFile
from agent.supervisor import Start
from commands.actions.config import config_push
from commands.actions.watch_list import WatchLists
from commands.audit import Audit
from commands.desk.desk import Desk
from commands.desk.state import MAX_STATE_BYTES
from commands.executor import Executor
from commands.kiosk_key import FILE_NAME, open_kiosk_key
from commands.ledger import Ledger
from commands.trust import Trust
from contract import Clock, Data, Stamp
from contract.actions import KeysUpdate
from contract.algorithm import ALGORITHMS
from contract.config import SignedConfig
from contract.message import Publish
from contract.state import KeysChanged
from telemetry.files import write_atomically
from telemetry.transport import Incoming

_MAX_CHANGES = 64
_CLOSE_S = 5.0
"""A door that does not obey, or cannot tell, must not keep the agent from ending."""

_log = structlog.get_logger()


class CommandPath:
    """Keys, ledger, audit trail, desk, persons, settings keeper, and the executor over them.

    Args:
        boot: settings and what the lives before left.
        clock: the agent's clock.
        publish: takes receipts and events.
        parts: cameras, health and the line.
        watch_lists: which plates are looked for.
        alarms: the codes of the alarms in force.
        status: what ``kiosk-agent status`` shows.
        stage: where pushed settings are tried.
        wellness: what a release on trial is judged by.
        restart: ends this process in order and starts it again.
        on_fault: told of what breaks.
    """

    def __init__(
        self,
        boot: Boot,
        *,
        clock: Clock,
        publish: Publish,
        parts: Parts,
        watch_lists: WatchLists,
        alarms: Callable[[], Iterable[str]],
        status: Status,
        stage: Stage,
        wellness: Wellness,
        restart: Callable[[], None],
        on_fault: Callable[[str, str | None], None],
    ) -> None:
        settings = boot.settings
        folder, kiosk = settings.kiosk.state_folder, settings.kiosk.id
        self._clock = clock
        self._key_changes: deque[tuple[KeysChanged, Stamp]] = deque(maxlen=_MAX_CHANGES)
        self._keys_news = asyncio.Event()
        self._publish = publish
        self._policy = settings.commands.effective_policy()
        self.trust = Trust(
            settings.commands.operators,
            algorithm=ALGORITHMS[settings.commands.signature_algorithm],
            rotated=folder / "keys.json",
            write=write_atomically,
            on_fault=on_fault,
            on_change=self._keys_changed,
        )
        self.ledger = Ledger(
            folder / "ledger.db", settings=settings.commands, clock=clock, on_fault=on_fault
        )
        self.audit = Audit(
            kiosk=kiosk,
            append=self.ledger.audit,
            head=self.ledger.audit_head,
            open_key=partial(open_kiosk_key, folder / FILE_NAME, write_atomically),
            publish=publish,
            clock=clock,
            on_fault=on_fault,
        )
        machine = Logind(clock)
        self.desk = Desk(
            clock=clock,
            publish=publish,
            store=StateFile(folder / "desk.json", limit=MAX_STATE_BYTES),
            lock_screen=machine.lock_sessions,
            unlock_screen=machine.unlock_sessions,
        )
        self.keeper = ConfigKeeper(
            kiosk=kiosk,
            beginning=boot.beginning,
            file=boot.book,
            build=partial(settings_with, boot.file),
            stage=stage,
            read=self._read_config,
            clock=clock,
            publish=self._tell,
        )
        self._config_push = config_push(self.keeper)
        self.updates = Updates(
            launched=launched(),
            settings=settings.update,
            folder=folder / "update",
            floor_bytes=settings.outbox.disk_floor_mib * 2**20,
            clock=clock,
            publish=self._tell,
            wellness=wellness,
            restart=restart,
        )
        self.identity = Identity(
            settings=lambda: self.keeper.settings,
            desk=self.desk,
            audit=self.audit,
            watches=parts.identity,
            clock=clock,
            publish=publish,
            say=self._tell,
            tell=on_fault,
        )
        self.hands = Hands(
            settings=lambda: self.keeper.settings,
            machine=machine,
            serving=self.desk,
            parts=parts,
            clock=clock,
            publish=publish,
            alarms=alarms,
        )
        self._renewal = Renewal(
            boot.identity,
            kiosk=kiosk,
            tls=lambda: self.keeper.settings.link.tls,
            link=parts.link,
            reconnect=parts.reconnect,
            clock=clock,
        )
        actions = kiosk_actions(
            config_push=self._config_push,
            certificates=self._renewal,
            trust=self.trust,
            keys_policy=self._policy[KeysUpdate.ACTION],
            desk=self.desk,
            hands=self.hands,
            watch_lists=watch_lists,
            enrolments=self.identity.enrolments,
            identity_cameras=parts.identity.keys(),
            updates=self.updates,
            status=status,
            restart=restart,
            started=clock.stamp(),
            clock=clock,
        )
        self.executor = Executor(
            kiosk=kiosk,
            settings=settings.commands,
            trust=self.trust,
            ledger=self.ledger,
            actions=actions,
            clock=clock,
            publish=publish,
            audit=self.audit,
            serving=self.desk,
        )

    @property
    def tasks(self) -> dict[str, Start]:
        """What is to be kept alive."""
        return {
            "audit": self.audit.run,
            "certificates": self._renewal.run,
            "commands": self.executor.run,
            "config": self.keeper.run,
            "desk": self.desk.run,
            "keys": self._tell_keys,
            "release": self.updates.stay_up,
            "updates": self.updates.run,
            **self.hands.tasks,
            **self.identity.tasks,
        }

    async def start(self) -> None:
        """Take up what the life before left; before the tasks run."""
        await self.trust.refresh()
        await self.desk.start()
        await self.hands.start()
        await self.identity.start()
        await self.updates.start()

    async def close(self) -> None:
        """Open the door and write what is left; after the tasks have ended."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.hands.close()
        except TimeoutError:
            _log.error("door_not_opened_in_time", after_s=_CLOSE_S)
        await self.ledger.close()

    async def on_command(self, message: Incoming) -> None:
        """Take in a message from ``down/command``."""
        await self.executor.receive(message.payload, retained=message.retained)

    async def on_config(self, message: Incoming) -> None:
        """Take in a message from ``down/config``."""
        await self.keeper.offer(message.payload)

    async def on_local_act(self, what: str, by: str) -> None:
        """Record what a person on site does, before it is done."""
        await self.audit.record(f"local.{what}", {"by": by})

    def _keys_changed(self, change: KeysChanged) -> None:
        self._key_changes.append((change, self._clock.stamp()))
        self._keys_news.set()

    async def _tell_keys(self) -> None:
        """Tell the centre and the audit trail that the operators' keys are others.

        What could not be recorded stays, and is told when this is started again.
        """
        while True:
            while self._key_changes:
                told = self._key_changes[0]
                await self._tell(*told)
                if self._key_changes and self._key_changes[0] is told:
                    self._key_changes.popleft()
            self._keys_news.clear()
            await self._keys_news.wait()

    async def _tell(self, event: Data, stamp: Stamp) -> None:
        """Record an event in the audit trail before it is told."""
        await self.audit.record_event(event, stamp)
        await self._publish(event, stamp)

    async def _read_config(self, document: bytes) -> SignedConfig:
        action = self._config_push
        return await read_document(
            document,
            trust=self.trust,
            action=action,
            policy=self._policy[action.name],
            clock=self._clock,
        )
