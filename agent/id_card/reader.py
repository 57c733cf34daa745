"""The identity-card reader: found, watched, found again; reads a card when somebody wants one."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol, TypeVar

import structlog

from agent.id_card.errors import CardError, CardTextError, PortError, ReaderFaultError
from agent.id_card.protocol import (
    CARD_FAULTS,
    FOUND,
    READER_FAULTS,
    SUCCESS,
    Answer,
    AnswerParser,
    Command,
    request,
)
from agent.id_card.serial_port import SerialPort
from agent.id_card.settings import IdCardSettings
from agent.id_card.text import IdCard, parse_text
from contract import Clock
from contract.events import PeripheralChanged, PeripheralState
from contract.health import PeripheralHealth
from contract.message import Publish
from telemetry.backoff import Backoff

KIND = "id_card_reader"
ANSWER_S = 2.0
PATIENCE_S = 5.0
"""For a card's data, which take about a second, and for a reset."""
IDLE_S = 1.0
"""Between two looks while nobody wants a card."""
FIRST_DELAY_S = 1.0
LAST_DELAY_S = 15.0
BAD_CARDS = 5
"""So many cards in a row that could not be read: it is the reader."""
_TEXT_LENGTH = 200
_SLOW = frozenset((Command.READ, Command.RESET))

log = structlog.get_logger()

T = TypeVar("T")


class Port(Protocol):
    """What the reader is reached through; :class:`SerialPort`, or a test's own."""

    async def write(self, data: bytes) -> None:
        """Send everything."""
        ...

    async def read(self) -> bytes:
        """Wait for bytes."""
        ...

    def discard(self) -> None:
        """Drop what came and was not read."""
        ...

    def close(self) -> None:
        """Give the device back."""
        ...


@dataclass(frozen=True, slots=True)
class CardData:
    """One card, for its caller alone."""

    card: IdCard
    photo: bytes = field(repr=False)
    """1,024 bytes; ``decode_photo`` makes a picture of them."""


class CardReader:
    """One reader on one serial device.

    A card that was read must be taken off before anything is read again, and so must one that lies
    there from the start. Nothing of a card stays here after :meth:`read` returned.

    Args:
        settings: with a device.
        clock: the time of pauses and limits.
        publish: takes ``peripheral.changed``.
        open_port: opens the device.
        jitter: gives a number from 0 to 1.
    """

    def __init__(
        self,
        settings: IdCardSettings,
        *,
        clock: Clock,
        publish: Publish,
        open_port: Callable[[str], Awaitable[Port]] = SerialPort.open,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._publish = publish
        self._open_port = open_port
        self._backoff = Backoff(FIRST_DELAY_S, LAST_DELAY_S, jitter)
        self._health = self._make_health("absent", "starting", "")
        self._down: str | None = None
        """Why no card can be read at all."""
        self._failures = 0
        self._wanted: asyncio.Future[CardData] | None = None
        self._awaited = asyncio.Event()
        self._why_not: CardError | None = None
        """What was wrong with the card that was tried last."""
        self._lying = False
        """A card was found while nobody wanted one."""
        self._used = True
        """What lies there was handed on, or has been there since before we looked."""
        self._is_bad = False
        """The card that lies there could not be read."""
        self._bad_cards = 0

    def health(self) -> PeripheralHealth:
        """Say how the reader is now."""
        return self._health

    async def read(self, limit_s: float) -> CardData:
        """Wait for a card and read it.

        Raises:
            CardError: no card was read within the time, or there is no reader to read it with.
        """
        if self._wanted is not None:
            raise CardError(code="busy", text="another card is being read")
        if self._down is not None:
            raise CardError(code="reader_unavailable", text=self._down)
        self._why_not = None
        wanted = self._wanted = asyncio.get_running_loop().create_future()
        self._awaited.set()
        try:
            return await self._within(limit_s, _result(wanted))
        except TimeoutError:
            raise self._why_not or self._no_card() from None
        finally:
            self._wanted = self._why_not = None
            self._awaited.clear()

    async def run(self) -> NoReturn:
        """Keep the reader at work until cancelled: opens it, and opens it again."""
        while True:
            try:
                await self._attend()
            except PortError as error:
                await self._give_up("absent" if error.is_absent else "fault", error)
            except ReaderFaultError as error:
                self._failures += 1
                # One answer may be lost to noise.
                if self._failures > 1 or error.code not in {"no_answer", "bad_answer"}:
                    await self._give_up("fault", error)
            await self._clock.sleep(self._backoff.next_s())

    async def _attend(self) -> NoReturn:
        """Live with one open device until it fails."""
        port = await self._open_port(self._settings.device)
        try:
            line = _Line(port, self._within)
            await line.wake()
            self._lying = self._is_bad = False
            while True:
                await self._look(line)
                self._failures = 0
                self._backoff.reset()
                self._down = None
                if self._bad_cards < BAD_CARDS:
                    await self._change("ok", "ready", "")
                await self._pause()
        finally:
            port.close()

    @property
    def _is_wanted(self) -> bool:
        return self._wanted is not None and not self._wanted.done()

    async def _look(self, line: "_Line") -> None:
        """Look once for a card, and read it where it is wanted."""
        if self._lying and not self._is_wanted:
            # Some modules find a card only once: this one is not looked for again until wanted.
            await line.ask(Command.STATUS)
            return
        if self._lying:
            self._lying = False
            if (await line.ask(Command.SELECT)).status == SUCCESS:
                await self._read(line)
                return
        if (await line.ask(Command.FIND)).status != FOUND:
            self._used = self._is_bad = False
        elif not self._is_wanted:
            self._lying = not self._used
        elif not self._used:
            selected = await line.ask(Command.SELECT)
            if selected.status == SUCCESS:
                await self._read(line)
            else:
                await self._refuse(selected)

    async def _read(self, line: "_Line") -> None:
        """Read the selected card and hand it on."""
        answer = await line.ask(Command.READ)
        if answer.status != SUCCESS:
            await self._refuse(answer)
            return
        content = answer.card_data()
        if content is None:
            raise ReaderFaultError(code="bad_answer", text="the reader's answer has no card in it")
        self._bad_cards = 0
        if self._wanted is None or self._wanted.done():
            return
        self._used = True
        text, photo = content
        try:
            self._wanted.set_result(CardData(parse_text(text), photo))
        except CardTextError as error:
            self._wanted.set_exception(CardError(code=error.code, text=str(error)))

    async def _refuse(self, answer: Answer) -> None:
        """Remember why a card was not read; it is tried again while it lies there."""
        if answer.status not in CARD_FAULTS:
            raise _unknown(answer)
        code, text = CARD_FAULTS[answer.status]
        self._why_not = CardError(code=code, text=text)
        if self._is_bad:
            return
        self._is_bad = True
        self._bad_cards += 1
        log.info("card not read", reader=self._settings.name, code=code)
        if self._bad_cards >= BAD_CARDS:
            text = f"{self._bad_cards} cards in a row could not be read, the last one: {text}"
            await self._change("fault", code, text)

    async def _pause(self) -> None:
        """Wait for the next look; while nobody wants a card, until somebody does."""
        if self._is_wanted:
            await self._clock.sleep(1 / self._settings.polls_per_s)
            return
        with contextlib.suppress(TimeoutError):
            await self._within(IDLE_S, self._awaited.wait())

    async def _within(self, limit_s: float, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work by the agent's clock. Raises ``TimeoutError``; then the work has ended."""
        working = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(limit_s))
        try:
            await asyncio.wait((working, limit), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise TimeoutError
        finally:
            working.cancel()
            limit.cancel()
            await asyncio.wait((working, limit))

    async def _give_up(self, state: PeripheralState, error: PortError | ReaderFaultError) -> None:
        """There is no reader until further notice: who waits for a card waits no longer."""
        self._down = f"no card can be read: {error}"
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_exception(CardError(code="reader_unavailable", text=self._down))
        await self._change(state, error.code, str(error))

    async def _change(self, state: PeripheralState, code: str, text: str) -> None:
        known, self._health = self._health, self._make_health(state, code, text)
        if (known.state, known.code) == (state, code):
            return
        log.info("card reader", reader=known.name, state=state, code=code, text=self._health.text)
        changed = PeripheralChanged(
            peripheral=known.name, device=KIND, state=state, code=code, text=self._health.text
        )
        await self._publish(changed, self._clock.stamp())

    def _make_health(self, state: PeripheralState, code: str, text: str) -> PeripheralHealth:
        return PeripheralHealth(
            name=self._settings.name, kind=KIND, state=state, code=code, text=text[:_TEXT_LENGTH]
        )

    def _no_card(self) -> CardError:
        if self._used:
            return CardError(code="remove_card", text="a card from before still lies on the reader")
        return CardError(code="no_card", text="no card was laid on the reader")


class _Line:
    """Requests and answers on one open device, one after the other."""

    def __init__(
        self,
        port: Port,
        within: Callable[[float, Coroutine[Any, Any, Answer]], Awaitable[Answer]],
    ) -> None:
        self._port = port
        self._within = within
        self._parser = AnswerParser()

    async def ask(self, command: Command) -> Answer:
        """Ask for something.

        Raises:
            ReaderFaultError: no answer came, or one that speaks of a fault of the reader.
            PortError: the device went away.
        """
        self._port.discard()
        self._parser.reset()
        limit_s = PATIENCE_S if command in _SLOW else ANSWER_S
        try:
            answer = await self._within(limit_s, self._exchange(request(command)))
        except TimeoutError:
            text = f"the reader does not answer within {limit_s:g} s: check its power and cable"
            raise ReaderFaultError(code="no_answer", text=text) from None
        if answer.status in READER_FAULTS:
            code, text = READER_FAULTS[answer.status]
            raise ReaderFaultError(code=code, text=text)
        return answer

    async def wake(self) -> None:
        """See that the module works; where it does not, reset it once. Raises as :meth:`ask`."""
        with contextlib.suppress(ReaderFaultError):
            if (await self.ask(Command.STATUS)).status == SUCCESS:
                return
        await self.ask(Command.RESET)
        answer = await self.ask(Command.STATUS)
        if answer.status != SUCCESS:
            raise _unknown(answer)

    async def _exchange(self, frame: bytes) -> Answer:
        await self._port.write(frame)
        while True:
            if answers := self._parser.feed(await self._port.read()):
                return answers[0]


def _unknown(answer: Answer) -> ReaderFaultError:
    return ReaderFaultError(
        code="bad_answer", text=f"the reader's answer makes no sense: status 0x{answer.status:02x}"
    )


async def _result(wanted: "asyncio.Future[CardData]") -> CardData:
    return await wanted
