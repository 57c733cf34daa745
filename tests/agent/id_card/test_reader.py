"""The card reader, on a pty with a simulated one behind it."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, NoReturn

import pytest
import structlog

from agent.id_card.errors import CardError, PortError
from agent.id_card.reader import ANSWER_S, BAD_CARDS, PATIENCE_S, CardData, CardReader
from agent.id_card.settings import IdCardSettings
from contract import Data, Stamp
from contract.events import PeripheralChanged
from tests.support.card_reader import (
    FIND,
    NUMBER,
    PHOTO,
    READ,
    RESET,
    SELECT,
    STATUS,
    PacedClock,
    SimulatedReader,
    fields,
    resident,
)

TODAY = date(2026, 11, 1)
CARD = (resident(), PHOTO)
OTHER_CARD = (resident(name="李四", number="440524188001010014", birth="18800101"), PHOTO)


class Stand:
    """A reader, what is behind it, and what it published."""

    def __init__(self, folder):
        self.clock = PacedClock()
        self.simulated = SimulatedReader(folder / "reader")
        self.published: list[PeripheralChanged] = []
        self.reader = self.make_reader()

    def make_reader(self, **parts: Any) -> CardReader:
        return CardReader(
            IdCardSettings(device=str(self.simulated.device)),
            clock=self.clock,
            publish=self.publish,
            jitter=lambda: 0.0,
            **parts,
        )

    async def publish(self, data: Data, stamp: Stamp) -> None:
        assert isinstance(data, PeripheralChanged)
        self.published.append(data)

    @property
    def codes(self) -> list[tuple[str, str]]:
        return [(one.state, one.code) for one in self.published]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    async def until_code(self, code: str) -> None:
        await self.until(lambda: self.reader.health().code == code)

    async def looks(self, count: int = 2) -> None:
        """Until the reader looked for a card so many times more."""
        before = self.simulated.count(FIND)
        await self.until(lambda: self.simulated.count(FIND) >= before + count)

    async def waits_for_answer(self) -> None:
        """Until a request was sent that nothing answers."""
        before = len(self.simulated.asked)
        await self.until(lambda: len(self.simulated.asked) > before)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, NoReturn]):
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


@pytest.fixture
async def plugged_out(tmp_path):
    """A reader that runs, before anything is plugged in."""
    stand = Stand(tmp_path)
    async with running(stand.reader.run()):
        yield stand
    stand.simulated.unplug()


@pytest.fixture
async def stand(tmp_path):
    """A reader at work."""
    stand = Stand(tmp_path)
    stand.simulated.plug_in()
    async with running(stand.reader.run()):
        await stand.until_code("ready")  # it has looked, and nothing lay there
        yield stand
    stand.simulated.unplug()


async def refusal(reading: Coroutine[Any, Any, CardData]) -> CardError:
    async with asyncio.timeout(20):
        with pytest.raises(CardError) as caught:
            await reading
    return caught.value


# -- cards ---------------------------------------------------------------------------------------


async def test_a_card_is_read(stand):
    """Text and portrait, as soon as it lies there; the reader tells that it works, once."""
    reading = asyncio.create_task(stand.reader.read(20))
    await stand.looks()
    stand.simulated.card = CARD
    data = await reading
    assert (data.card.name, data.card.number, data.photo) == ("张三", NUMBER, PHOTO)
    assert data.card.problems(TODAY) == ()
    assert stand.codes == [("ok", "ready")]
    assert stand.reader.health().kind == "id_card_reader"


async def test_a_card_that_was_read_must_be_taken_off_first(stand):
    """What lies there from the citizen before is never read for the next one."""
    stand.simulated.card = CARD
    await stand.reader.read(20)
    assert (await refusal(stand.reader.read(5))).code == "remove_card"
    stand.simulated.card = None
    await stand.looks()
    reading = asyncio.create_task(stand.reader.read(20))
    await stand.looks()
    stand.simulated.card = OTHER_CARD
    assert (await reading).card.name == "李四"
    assert stand.simulated.count(READ) == 2


async def test_a_card_is_not_read_again_after_the_reader_was_opened_anew(stand):
    """Neither after noise on the line nor after the agent's own restart."""
    stand.simulated.card = CARD
    await stand.reader.read(20)
    stand.simulated.damaged = 1
    await stand.until(lambda: not stand.simulated.damaged)
    stand.clock.move(ANSWER_S)
    await stand.looks()
    assert (await refusal(stand.reader.read(5))).code == "remove_card"
    second = stand.make_reader()
    async with running(second.run()):
        await stand.until(lambda: second.health().code == "busy")
        stand.simulated.unplug()
        await stand.until_code("not_found")
        stand.simulated.plug_in()
        await stand.until(lambda: "ok" in {second.health().state, stand.reader.health().state})
        ready = second if second.health().state == "ok" else stand.reader
        assert (await refusal(ready.read(5))).code == "remove_card"


async def test_nobody_lays_a_card_down(stand):
    """The time limit is the caller's; the reader goes on."""
    assert (await refusal(stand.reader.read(5))).code == "no_card"
    assert stand.reader.health().state == "ok"


async def test_no_card_is_read_that_nobody_wants(stand):
    """It lies there and is looked for, but what it says stays in it."""
    stand.simulated.card = CARD
    await stand.until(lambda: stand.simulated.asked[-3:] == [STATUS] * 3)
    assert READ not in stand.simulated.asked
    assert SELECT not in stand.simulated.asked


async def test_a_card_that_lay_there_before_anyone_asked_is_read(stand):
    """Also by modules that find a lying card a single time."""
    stand.simulated.finds_once = True
    stand.simulated.card = CARD
    await stand.until(lambda: stand.simulated.asked[-2:] == [STATUS] * 2)
    assert (await stand.reader.read(20)).card.name == "张三"
    assert (await refusal(stand.reader.read(5))).code == "no_card"


async def test_a_card_that_was_exchanged_while_nobody_looked_is_the_one_read(stand):
    """What is selected is what lies there now."""
    stand.simulated.card = CARD
    await stand.until(lambda: stand.simulated.asked[-1] == STATUS)
    stand.simulated.statuses[SELECT] = 0x81
    stand.simulated.on_asked = lambda command: (
        stand.simulated.statuses.clear() if command == SELECT else None
    )
    stand.simulated.card = OTHER_CARD
    assert (await stand.reader.read(20)).card.name == "李四"


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        (SELECT, 0x31, "card_refused_reader"),
        (SELECT, 0x32, "reader_refused_card"),
        (READ, 0x33, "card_data_damaged"),
        (SELECT, 0x40, "wrong_card"),
        (READ, 0x41, "card_not_read"),
        (READ, 0x47, "card_not_read"),
        (READ, 0x80, "card_not_read"),
        (SELECT, 0x81, "card_not_read"),
    ],
)
async def test_a_card_that_cannot_be_read_is_tried_again_and_named(stand, command, status, code):
    """Its fault is told when the time is over; one such card is no fault of the reader."""
    stand.simulated.card = CARD
    stand.simulated.statuses[command] = status
    assert (await refusal(stand.reader.read(5))).code == code
    assert stand.simulated.count(command) > 2
    assert stand.codes == [("ok", "ready")]


async def test_a_card_that_lies_still_at_last_is_read(stand):
    """A failed try does no harm."""
    stand.simulated.card = CARD
    stand.simulated.statuses[READ] = 0x41
    reading = asyncio.create_task(stand.reader.read(20))
    await stand.until(lambda: stand.simulated.count(READ) == 2)
    stand.simulated.statuses.clear()
    assert (await reading).card.name == "张三"


async def test_bad_cards_in_a_row_are_a_fault_of_the_reader_until_a_good_one(stand):
    """Who waits goes on waiting: the next card may be read."""
    stand.simulated.statuses[SELECT] = 0x32
    reading = asyncio.create_task(stand.reader.read(1000))
    for _ in range(BAD_CARDS):
        before = stand.simulated.count(SELECT)
        stand.simulated.card = CARD
        await stand.until(lambda before=before: stand.simulated.count(SELECT) >= before + 2)
        stand.simulated.card = None
        await stand.looks()
    assert stand.codes == [("ok", "ready"), ("fault", "reader_refused_card")]
    await stand.looks()
    assert stand.reader.health().state == "fault"
    stand.simulated.statuses.clear()
    stand.simulated.card = CARD
    assert (await reading).card.name == "张三"
    await stand.until_code("ready")


async def test_a_card_with_a_wrong_check_digit_is_handed_on_with_its_problem(stand):
    """What to do about it is not the reader's business."""
    stand.simulated.card = (resident(number=NUMBER[:-1] + "1"), PHOTO)
    data = await stand.reader.read(20)
    assert data.card.problems(TODAY) == ("check_digit",)


async def test_an_unknown_kind_of_card_is_refused_at_once(stand):
    """Not tried again: it stays what it is."""
    stand.simulated.card = (fields(kind="Q"), PHOTO)
    assert (await refusal(stand.reader.read(20))).code == "card_unsupported"
    assert stand.reader.health().state == "ok"


async def test_one_card_at_a_time(stand):
    """A second caller is told; the first one's card is not the second one's."""
    reading = asyncio.create_task(stand.reader.read(20))
    await stand.looks()
    assert (await refusal(stand.reader.read(20))).code == "busy"
    stand.simulated.card = CARD
    assert (await reading).card.name == "张三"


async def test_a_caller_that_gave_up_leaves_nothing_behind(stand):
    """The next caller waits for a card of its own."""
    reading = asyncio.create_task(stand.reader.read(20))
    await stand.looks()
    reading.cancel()
    await asyncio.wait({reading})
    stand.simulated.card = CARD
    assert (await stand.reader.read(20)).card.name == "张三"


# -- the line ------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 7, 4096])
async def test_garbage_and_slow_answers_do_no_harm(stand, piece):
    """Noise and halves of frames before each answer, which comes in pieces."""
    stand.simulated.before = bytes.fromhex("00ffaaaaaaaa9669ffff0311aaaaaa96690508aaaa")
    stand.simulated.piece = piece
    stand.simulated.card = CARD
    assert (await stand.reader.read(60)).photo == PHOTO
    assert stand.codes == [("ok", "ready")]


async def test_what_nobody_asked_for_is_not_taken_for_an_answer(stand):
    """A card that was found before the question is no card."""
    stand.simulated.send(bytes.fromhex("aaaaaa9669000800009f0000000097") * 20)
    assert (await refusal(stand.reader.read(5))).code == "no_card"
    assert SELECT not in stand.simulated.asked


async def test_one_damaged_answer_is_no_fault(stand):
    """The device is opened anew, and nobody hears of it; who waits for a card gets it."""
    reading = asyncio.create_task(stand.reader.read(1000))
    await stand.looks()
    stand.simulated.damaged = 1
    await stand.until(lambda: not stand.simulated.damaged)
    stand.clock.move(ANSWER_S)
    stand.simulated.card = CARD
    assert (await reading).card.name == "张三"
    assert stand.codes == [("ok", "ready")]


async def test_a_reader_that_hangs_is_a_fault_and_comes_back(stand):
    """Two requests without an answer; who waits for a card is told, and so is who asks then."""
    reading = asyncio.create_task(stand.reader.read(1000))
    await stand.looks()
    stand.simulated.silent = True
    await stand.waits_for_answer()
    stand.clock.move(ANSWER_S)
    for silence_s in (ANSWER_S, PATIENCE_S):
        await stand.waits_for_answer()
        stand.clock.move(silence_s)
    assert (await refusal(reading)).code == "reader_unavailable"
    assert (await refusal(stand.reader.read(20))).code == "reader_unavailable"
    assert stand.codes == [("ok", "ready"), ("fault", "no_answer")]
    stand.simulated.silent = False
    await stand.waits_for_answer()
    stand.clock.move(PATIENCE_S)
    await stand.until_code("ready")
    stand.simulated.card = CARD
    assert (await stand.reader.read(20)).card.name == "张三"


@pytest.mark.parametrize(("command", "status"), [(READ, 0x90), (READ, 0x77), (SELECT, 0x9F)])
async def test_an_answer_without_sense_is_a_fault(stand, command, status):
    """Twice: another model, or not such a reader at all."""
    stand.simulated.statuses[command] = status
    reading = asyncio.create_task(stand.reader.read(1000))
    await stand.looks()
    stand.simulated.card = CARD
    assert (await refusal(reading)).code == "reader_unavailable"
    assert ("fault", "bad_answer") in stand.codes


async def test_a_state_without_sense_is_a_fault(plugged_out):
    """Before any card is looked for."""
    plugged_out.simulated.statuses[STATUS] = 0x80
    plugged_out.simulated.plug_in()
    await plugged_out.until_code("bad_answer")
    assert FIND not in plugged_out.simulated.asked


# -- the reader ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (0x10, "line_noise"),
        (0x11, "line_noise"),
        (0x21, "command_refused"),
        (0x23, "command_refused"),
        (0x24, "unknown_fault"),
        (0x60, "self_test_failed"),
        (0x66, "not_authorised"),
    ],
)
async def test_each_fault_of_the_reader_shows_in_its_health(stand, status, code):
    """At once, by name, with what to do; it ends when the reader is well again."""
    for command in (RESET, STATUS, FIND):
        stand.simulated.statuses[command] = status
    await stand.until_code(code)
    health = stand.reader.health()
    assert health.state == "fault"
    assert health.text
    assert (await refusal(stand.reader.read(20))).code == "reader_unavailable"
    stand.simulated.statuses.clear()
    await stand.until_code("ready")
    assert stand.codes == [("ok", "ready"), ("fault", code), ("ok", "ready")]


async def test_a_module_that_does_not_work_is_reset_once(plugged_out):
    """Where that helps, nobody hears of a fault."""
    stand = plugged_out
    stand.simulated.statuses[STATUS] = 0x60
    stand.simulated.on_asked = lambda command: (
        stand.simulated.statuses.clear() if command == RESET else None
    )
    stand.simulated.plug_in()
    await stand.until_code("ready")
    assert stand.simulated.asked[:3] == [STATUS, RESET, STATUS]
    assert [code for code in stand.codes if code[0] == "fault"] == []


async def test_a_reader_may_be_plugged_in_out_and_in_again(plugged_out):
    """Missing, there, gone in the middle of a read, and back as another device."""
    stand = plugged_out
    await stand.until_code("not_found")
    stand.simulated.plug_in()
    await stand.until_code("ready")
    reading = asyncio.create_task(stand.reader.read(1000))
    await stand.looks()
    stand.simulated.unplug()
    assert (await refusal(reading)).code == "reader_unavailable"
    await stand.until_code("not_found")
    assert stand.reader.health().state == "absent"
    stand.simulated.plug_in()
    await stand.until_code("ready")
    stand.simulated.card = CARD
    assert (await stand.reader.read(20)).card.name == "张三"
    states = [state for state, _ in stand.codes]
    assert states[0] == "absent"
    assert states[1] == states[-1] == "ok"


async def test_a_reader_unplugged_in_the_middle_of_an_answer_is_gone(stand):
    """Half a card is none."""
    stand.simulated.card = CARD
    stand.simulated.piece = 100
    stand.simulated.on_asked = lambda command: (
        asyncio.get_running_loop().call_later(0.003, stand.simulated.unplug)
        if command == READ
        else None
    )
    stand.simulated.before = bytes(100)
    result = await asyncio.gather(stand.reader.read(1000), return_exceptions=True)
    assert isinstance(result[0], CardData | CardError)
    await stand.until_code("not_found")


async def test_a_missing_reader_is_looked_for_ever_more_rarely(tmp_path):
    """From one second to 15; a device that is there only for a moment changes nothing."""
    clock = PacedClock()
    tried = asyncio.Semaphore(0)

    async def open_port(path: str) -> NoReturn:
        tried.release()
        raise PortError(code="not_found", text="not there")

    async def publish(data: Data, stamp: Stamp) -> None:
        pass

    reader = CardReader(
        IdCardSettings(device="/dev/none"),
        clock=clock,
        publish=publish,
        open_port=open_port,
        jitter=lambda: 1.0,
    )
    async with running(reader.run()), asyncio.timeout(20):
        for _ in range(7):
            await tried.acquire()
            while not clock.pauses:
                await asyncio.sleep(0)
            clock.move(20)
            await asyncio.sleep(0.002)
    assert clock.pauses[:6] == [1, 2, 4, 8, 15, 15]


async def test_two_programs_do_not_share_a_reader(stand):
    """The second one is told, and takes over when the first one is gone."""
    second = stand.make_reader()
    async with running(second.run()):
        await stand.until(lambda: second.health().code == "busy")
        assert second.health().state == "fault"
        stand.simulated.card = CARD
        assert (await stand.reader.read(20)).card.name == "张三"


# -- privacy -------------------------------------------------------------------------------------


async def test_nothing_of_a_card_is_logged_or_told(stand):
    """Neither log nor event nor health nor a refusal has a word of it."""
    with structlog.testing.capture_logs() as logs:
        stand.simulated.card = CARD
        data = await stand.reader.read(20)
        refused = await refusal(stand.reader.read(5))
        stand.simulated.card = None
        await stand.looks()
        stand.simulated.card = (fields(("张三", 30), (NUMBER, 36), kind="Q"), PHOTO)
        unsupported = await refusal(stand.reader.read(20))
        stand.simulated.unplug()
        await stand.until_code("not_found")
    said = repr(
        (logs, stand.published, stand.reader.health(), data, refused, unsupported, stand.reader)
    )
    assert "id-card-reader" in said
    for secret in ("张三", NUMBER, "1949", "朝阳", repr(PHOTO)[2:40]):
        assert secret not in said


async def test_the_reader_keeps_nothing_of_a_card(stand):
    """Once it is handed on, nothing that the reader holds leads to it."""
    stand.simulated.card = CARD
    data = await stand.reader.read(20)
    await stand.looks()
    seen: set[int] = set()
    todo = [vars(stand.reader)]
    ours = (CardReader, dict, list, set, tuple, bytes, bytearray, str)
    while todo:
        held = todo.pop()
        if id(held) in seen or held is stand.publish or isinstance(held, Stand):
            continue
        seen.add(id(held))
        assert held is not data
        assert held is not data.card
        assert not isinstance(held, CardData)
        if isinstance(held, str | bytes | bytearray):
            assert len(held) < 256
            assert NUMBER not in str(held)
        elif isinstance(held, ours):
            todo += gc.get_referents(held)
