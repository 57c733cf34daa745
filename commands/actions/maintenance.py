"""``maintenance.on`` and ``maintenance.off``: somebody works on the kiosk."""

from commands.action import Action, Invocation, Result
from commands.actions.service import GROUP
from commands.desk.desk import Desk
from contract.actions import MaintenanceOff, MaintenanceOn
from contract.wire import format_time


def maintenance_on(desk: Desk) -> Action[MaintenanceOn]:
    """Make the action. Its result: ``until``, and ``saved``: whether it outlives a restart."""

    async def run(arguments: MaintenanceOn, invocation: Invocation) -> Result:
        invocation.no_return()
        until = await desk.closing.begin_maintenance(
            text=arguments.text, for_s=arguments.for_s, by=", ".join(invocation.signers)
        )
        return {"until": format_time(until), "saved": desk.is_saved}

    return Action(arguments=MaintenanceOn, run=run, idempotent=True, group=GROUP)


def maintenance_off(desk: Desk) -> Action[MaintenanceOff]:
    """Make the action. Its result: ``was_on``, and ``saved``."""

    async def run(_: MaintenanceOff, invocation: Invocation) -> Result:
        invocation.no_return()
        was_on = await desk.closing.end_maintenance()
        return {"was_on": was_on, "saved": desk.is_saved}

    return Action(arguments=MaintenanceOff, run=run, idempotent=True, group=GROUP)
