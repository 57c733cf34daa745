"""Send commands and see them through, to one kiosk or to many."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from console.courier import Courier
from console.order import Draft, Order
from console.outcome import Conversation, Ending, Outcome
from console.settings import ConsoleSettings
from contract import Envelope
from contract.keys import PrivateKey
from contract.receipt import Receipt

__all__ = [
    "Conversation",
    "Ending",
    "Order",
    "Outcome",
    "Screen",
    "Sender",
    "patience_s",
]

_PATIENCE_S: Mapping[str, float] = {
    "reboot": 600,
    "poweroff": 300,
    "agent.restart": 120,
    "config.push": 600,
    "keys.update": 60,
    "certificate.install": 300,
    "update.install": 14_400,
    "snapshot": 60,
    "log.fetch": 120,
    "diagnostics": 120,
}


def patience_s(action: str) -> float:
    """How long to wait for the end of an action where the operator does not say."""
    return _PATIENCE_S.get(action, 30.0)


class Screen(Protocol):
    """Sees what happens while commands are under way."""

    def report(self, problem: str | None) -> None:
        """Why there is no connection, or that there is one."""
        ...

    def begun(self, kiosk: str) -> None:
        """A kiosk's turn has come."""
        ...

    def receipt(self, message: Envelope[Receipt]) -> None:
        """One step of a command's life."""
        ...

    def note(self, kiosk: str, text: str) -> None:
        """Say something that is no receipt."""
        ...

    def ended(self, ending: Ending) -> None:
        """It is over for this kiosk."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Signs drafts when their turn comes, and sees each through with a timeout of its own."""

    keys: Sequence[PrivateKey]
    timeout_s: float

    def check(self, drafts: Sequence[Draft | Order]) -> None:
        """Raise :class:`~contract.ContractError` where one of them cannot be signed."""
        for draft in drafts:
            if isinstance(draft, Draft):
                draft.sign(self.keys)

    async def send(
        self,
        settings: ConsoleSettings,
        drafts: Sequence[Draft | Order],
        screen: Screen,
        *,
        at_once: int = 10,
        with_media: bool = False,
    ) -> list[Ending]:
        """See all of them through over one connection; returns their ends, in the same order.

        Args:
            settings: the broker.
            drafts: what to send, signed already or not.
            screen: sees what happens.
            at_once: so many at the same time.
            with_media: wait for what the kiosks publish for them.

        Raises:
            SettingsError: see :func:`~console.connection.connect`.
        """
        turns = asyncio.Semaphore(at_once)

        async def one(courier: Courier, draft: Draft | Order) -> Ending:
            async with turns:
                screen.begun(draft.kiosk)
                ending = await self._see_off(courier, draft, screen, with_media=with_media)
            screen.ended(ending)
            return ending

        async with Courier(settings, screen.report) as courier:
            return await asyncio.gather(*(one(courier, draft) for draft in drafts))

    async def _see_off(
        self, courier: Courier, draft: Draft | Order, screen: Screen, *, with_media: bool
    ) -> Ending:
        async def attempt(order: Order) -> Ending:
            return await courier.deliver(
                order, timeout_s=self.timeout_s, on_receipt=screen.receipt, with_media=with_media
            )

        if isinstance(draft, Order):
            return await attempt(draft)
        ending = await attempt(draft.sign(self.keys))
        refusal = ending.last
        if refusal and ending.outcome is Outcome.REJECTED and refusal.challenge:
            screen.note(
                draft.kiosk, "its clock is not synchronised; signed anew with the kiosk's challenge"
            )
            ending = await attempt(
                draft.sign(self.keys, challenge=refusal.challenge, answers=refusal.command_id)
            )
        return ending
