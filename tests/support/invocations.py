"""A command as an action sees it, without the command path around it."""

from dataclasses import dataclass, field
from typing import Any

from commands.action import Invocation
from contract import Stamp
from contract.actions import Arguments
from contract.command import Command

COMMAND_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@dataclass
class Told:
    """What an action told while it ran."""

    texts: list[str] = field(default_factory=list)
    percents: list[float | None] = field(default_factory=list)
    past_return: bool = False

    async def progress(self, text: str, percent: float | None = None) -> None:
        self.texts.append(text)
        self.percents.append(percent)

    def no_return(self) -> None:
        self.past_return = True


def invocation(
    arguments: Arguments, begun: Stamp, *, told: Told | None = None, signers: tuple[str, ...] = ()
) -> Invocation:
    """The command that asks for these arguments, begun at a moment."""
    told = told or Told()
    args: dict[str, Any] = arguments.model_dump(mode="json")
    now = int(begun.time.timestamp())
    command = Command(
        id=COMMAND_ID,
        kiosk="k-1",
        action=arguments.ACTION,
        args=args,
        nbf=now,
        exp=now + 3600,
        ttl_s=3600,
    )
    return Invocation(
        command=command,
        signers=signers,
        received=begun,
        begun=begun,
        progress=told.progress,
        no_return=told.no_return,
    )
