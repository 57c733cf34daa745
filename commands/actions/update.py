"""``update.install``: another release of the agent, on trial, which stays when it is well.

The command runs over the restart into the new release, and over the one that takes it back.
"""

from typing import Literal, Protocol

from commands.action import Action, Invocation, Progress, Result, Serving
from commands.errors import ActionError
from contract import Clock
from contract.actions import UpdateInstall

GROUP = "update"
ENDING_S = 90.0
"""The agent has ended within this time, or it will not."""


class Ended(Protocol):
    """What became of a release on trial."""

    @property
    def outcome(self) -> Literal["confirmed", "rolled_back", "lost"]:
        """Whether it stayed."""
        ...

    @property
    def version(self) -> str:
        """Its version."""
        ...

    @property
    def before(self) -> str:
        """The version that ran before it."""
        ...

    @property
    def why(self) -> str:
        """Why it went back."""
        ...


class Updates(Protocol):
    """Who keeps the releases on this kiosk."""

    def missing(self) -> str | None:
        """Why this kiosk cannot change its release, in a sentence."""
        ...

    async def prepare(self, arguments: UpdateInstall, say: Progress) -> None:
        """Fetch, verify and unpack a release; cancelled, it leaves what runs as it is.

        Raises:
            ActionError: it cannot be had, or may not be installed.
        """
        ...

    async def switch(self, *, command: str, signers: tuple[str, ...]) -> None:
        """Put the release that was prepared on trial, and end this process in order.

        Raises:
            ActionError: that could not be recorded.
        """
        ...

    async def outcome(self, command: str) -> Ended | None:
        """Wait for the end of the trial that a command ordered; None where it never began."""
        ...


def update_install(updates: Updates, serving: Serving, clock: Clock) -> Action[UpdateInstall]:
    """Make the action. Its result: ``version`` and ``before``, the one that ran until then."""

    async def run(arguments: UpdateInstall, invocation: Invocation) -> Result:
        await updates.prepare(arguments, invocation.progress)
        while serving.is_serving:
            await invocation.progress("waits for the end of the citizen's session")
            await serving.wait_until_free()
        invocation.no_return()
        await invocation.progress(f"the agent restarts with version {arguments.version}, on trial")
        await updates.switch(command=invocation.command.id, signers=invocation.signers)
        await clock.sleep(ENDING_S)
        msg = f"the agent did not end within {ENDING_S:.0f} s"
        raise ActionError(msg)

    async def resume(_: UpdateInstall, invocation: Invocation) -> Result:
        invocation.no_return()
        ended = await updates.outcome(invocation.command.id)
        if ended is None:
            msg = "the agent stopped before the release was unpacked; what runs is as it was"
            raise ActionError(msg, code="interrupted")
        if ended.outcome == "confirmed":
            return {"version": ended.version, "before": ended.before}
        msg = f"version {ended.version} went back to {ended.before}: {ended.why}"
        raise ActionError(msg, code="rolled_back")

    return Action(UpdateInstall, run=run, resume=resume, group=GROUP, missing=updates.missing)
