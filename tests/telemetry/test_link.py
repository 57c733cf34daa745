"""The link and the sender, on the broker in memory and a clock that stands still."""

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from contract import Priority, open_message
from contract.config import ConfigReport, settings_hash
from contract.gap import Gap
from contract.limits import MAX_MEDIA_BYTES
from contract.state import State
from telemetry.link import Link, LinkState, Subscription
from telemetry.outbox import Outbox
from telemetry.settings import LinkSettings, OutboxSettings
from telemetry.transport import (
    ConnectOptions,
    Incoming,
    LineLostError,
    LinkError,
    NotAuthorisedError,
    RefusedError,
    RetainHandling,
    SessionTakenError,
)
from telemetry.voice import Birth
from tests.support.clock import START, ManualClock
from tests.support.fake_broker import FakeBroker
from tests.support.fake_line import FakeConnection
from tests.support.messages import TOPICS, message, put, put_all
from tests.telemetry.conftest import StartOutbox

P = Priority


class Kiosk:
    """A link with what it needs, on a fake broker."""

    def __init__(self, broker: FakeBroker, clock: ManualClock, outbox: Outbox, **settings: Any):
        self.broker, self.clock, self.outbox = broker, clock, outbox
        self.changes: list[tuple[LinkState, LinkError | None]] = []
        self.denied: list[tuple[str, int]] = []
        self.received: list[Incoming] = []
        self.handler_fails = 0
        self.handle_s = 0.0
        self.jitter = 1.0
        self.version = 0
        self.more: dict[str, Any] = {}
        self.link = Link(
            transport=broker.transport(),
            outbox=outbox,
            topics=TOPICS,
            settings=LinkSettings(),
            outbox_settings=OutboxSettings(**settings),
            clock=clock,
            birth=lambda: Birth("1.0", START, ("ping",), (), self.version),
            report=self._report,
            subscriptions=(Subscription(TOPICS.command, self._handle, RetainHandling.NEVER),),
            on_change=lambda state, error: self.changes.append((state, error)),
            on_denied=lambda topic, reason: self.denied.append((topic, reason)),
            jitter=lambda: self.jitter,
        )
        self.task = asyncio.create_task(self.link.run())

    def _report(self) -> ConfigReport:
        settings = {"link": {"port": 1883}, **self.more}
        digest = settings_hash({})
        return ConfigReport(version=self.version, hash=digest, state="confirmed", settings=settings)

    async def _handle(self, incoming: Incoming) -> None:
        if self.handler_fails:
            self.handler_fails -= 1
            msg = "disk full"
            raise OSError(msg)
        await self.clock.sleep(self.handle_s)
        self.received.append(incoming)

    async def until(self, condition: Callable[[], bool], step_s: float = 0.05) -> None:
        """Let time pass in small steps, each with all its work done, until a condition holds."""
        for _ in range(5_000):
            await self.clock.settle()
            # A round trip through the outbox's thread: what was asked of it before is done.
            await self.outbox.oldest_age_s()
            await self.clock.settle()
            if condition():
                return
            await self.clock.advance(step_s)
        msg = "it never came to be"
        raise AssertionError(msg)

    async def online(self) -> None:
        await self.until(lambda: self.link.state is LinkState.ONLINE)

    async def stop(self) -> None:
        if self.task.done():
            return
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.until(self.task.done)
            await self.task

    @property
    def arrived(self) -> list[int]:
        """Sequence numbers that the broker took, in order, repeats included."""
        found = [json.loads(item.payload).get("sequence") for item in self.broker.published]
        return [sequence for sequence in found if sequence is not None]


@pytest.fixture
def broker(clock: ManualClock) -> FakeBroker:
    return FakeBroker(clock)


@pytest.fixture
async def start(start_outbox: StartOutbox, clock: ManualClock):
    """Start kiosks on outboxes in one folder; each is stopped at the end."""
    kiosks: list[Kiosk] = []

    async def make(broker: FakeBroker, **settings: Any) -> Kiosk:
        outbox = await start_outbox(**settings)
        kiosk = Kiosk(broker, clock, outbox, **settings)
        kiosks.append(kiosk)
        return kiosk

    yield make
    for kiosk in kiosks:
        await kiosk.stop()


def states(broker: FakeBroker) -> list[State]:
    """What was said on up/state."""
    said = [item for item in broker.published if item.topic == TOPICS.state]
    return [data for item in said if isinstance(data := open_message(item.payload).data, State)]


CONFIG = TOPICS.up("up/config")
COMMAND = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
MEDIA = TOPICS.media(COMMAND)


def said_on(broker: FakeBroker, topic: str) -> list[bytes]:
    return [item.payload for item in broker.published if item.topic == topic]


async def test_birth_and_will_carry_the_same_session(start, broker: FakeBroker):
    """On every connect the birth is retained and the will left behind has its session number."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.cut("k1", will=False)
    await kiosk.until(lambda: kiosk.link.connects == 2)
    assert [(state.state, state.session) for state in states(broker)] == [
        ("online", 1),
        ("online", 2),
    ]
    wills = [open_message(options.will.payload).data for options in broker.connects if options.will]
    assert [(will.state, will.session) for will in wills] == [("offline", 1), ("offline", 2)]
    assert {options.will.delay_s for options in broker.connects if options.will} == {30}
    assert not any(options.clean_start for options in broker.connects)
    retained = open_message(broker.retained(TOPICS.state) or b"").data
    assert isinstance(retained, State)
    assert retained.session == 2


async def test_the_answer_behind_what_was_kept_is_waited_for(
    start, broker: FakeBroker, monkeypatch
):
    """A broker may deliver what it kept before it answers a subscription, however long it takes."""
    kiosk = await start(broker)
    await kiosk.online()
    answer = FakeConnection.subscribe

    async def answer_last(self: FakeConnection, *asked: Any, **more: Any) -> None:
        while self.session.waiting or self.session.in_flight:
            await broker.clock.sleep(1)
        await answer(self, *asked, **more)

    monkeypatch.setattr(FakeConnection, "subscribe", answer_last)
    broker.cut("k1")
    centre = await broker.transport().connect(ConnectOptions("", 0, "centre"))
    for number in range(5):
        centre.publish(TOPICS.command, b"%d" % number, on_ack=lambda _: None)
    kiosk.handle_s = 0.8 * LinkSettings().connect_timeout_s
    await kiosk.until(lambda: kiosk.link.connects == 2, step_s=0.5)
    assert [one.payload for one in kiosk.received] == [b"0", b"1", b"2", b"3", b"4"]
    assert len([options for options in broker.connects if options.client_id == "k1"]) == 2


async def test_stopped_in_the_moment_of_a_cut(start, broker: FakeBroker):
    """A line that breaks at the same time does not keep the link from ending."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.cut("k1")
    kiosk.task.cancel()
    await kiosk.until(kiosk.task.done)
    assert kiosk.task.cancelled()
    assert kiosk.link.state is LinkState.STOPPED


async def test_a_subscription_that_nobody_answers_ends_the_line(start, broker, monkeypatch):
    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(FakeConnection, "subscribe", never)
    kiosk = await start(broker)
    await kiosk.until(lambda: kiosk.link.last_error is not None, step_s=0.5)
    assert isinstance(kiosk.link.last_error, LineLostError)
    assert f"did not answer the subscription to {TOPICS.command}" in str(kiosk.link.last_error)


async def test_session_number_survives_a_restart(start, broker: FakeBroker):
    """The session counter is stored: a restarted agent never repeats a number."""
    first = await start(broker)
    await first.online()
    await first.stop()
    second = await start(broker)
    await second.online()
    assert [state.session for state in states(broker)] == [1, 1, 2]


async def test_stops_in_order(start, broker: FakeBroker):
    """A stopped agent says ``stopping`` and its will never comes."""
    kiosk = await start(broker)
    await kiosk.online()
    await kiosk.stop()
    await kiosk.clock.advance(60)
    assert [state.state for state in states(broker)] == ["online", "stopping"]


async def test_everything_arrives_over_a_broken_line(start, broker: FakeBroker, clock):
    """Lost acknowledgements and cuts make repeats, never losses."""
    kiosk = await start(broker)
    await kiosk.online()
    for round_ in range(10):
        broker.lose_pubacks = 3
        broker.repeat_pubacks = 2
        await put_all(kiosk.outbox, clock, [message(P.EVENT) for _ in range(20)])
        if round_ % 2:
            broker.cut("k1")
    await kiosk.until(lambda: set(kiosk.arrived) == set(range(1, 201)), step_s=0.5)
    await kiosk.until(lambda: kiosk.outbox.rows == 0, step_s=0.5)


async def test_live_before_backlog(start, broker: FakeBroker, clock):
    """After an outage a new alarm overtakes the backlog, which comes class by class at its rate."""
    broker.stop()
    kiosk = await start(broker, backlog_per_s=100)
    await put_all(kiosk.outbox, clock, [message(P.TELEMETRY) for _ in range(300)])
    await put_all(kiosk.outbox, clock, [message(P.EVENT) for _ in range(200)])
    broker.start()
    await kiosk.online()
    began = clock.monotonic()
    await kiosk.until(lambda: len(kiosk.arrived) >= 50)
    await put(kiosk.outbox, clock, P.ALARM, P.TELEMETRY)
    await kiosk.until(lambda: {501, 502} <= set(kiosk.arrived))
    assert len(kiosk.arrived) < 150
    await kiosk.until(lambda: len(kiosk.arrived) == 502)
    took = clock.monotonic() - began
    assert 4.5 <= took <= 6.5, "500 messages at 100 a second"
    old = [sequence for sequence in kiosk.arrived if sequence <= 500]
    assert old == [*range(301, 501), *range(1, 301)]


async def test_order_within_class_and_window(start, clock):
    """Never more in flight than the broker allows, each class in order."""
    broker = FakeBroker(clock, receive_maximum=10)
    kiosk = await start(broker, backlog_per_s=0)
    await kiosk.online()
    broker.hold_pubacks()
    await put_all(kiosk.outbox, clock, [message(P.EVENT) for _ in range(500)])
    await kiosk.until(lambda: len(kiosk.arrived) == 8)
    await clock.settle()
    assert len(kiosk.arrived) == 8, "two places are kept for up/state"
    broker.let_pubacks_go()
    await kiosk.until(lambda: len(kiosk.arrived) == 500)
    assert kiosk.arrived == sorted(kiosk.arrived)
    assert len(broker.connects) == 1, "the broker never had to send us away"


async def test_too_large_for_the_broker(start, clock):
    """What exceeds the broker's packet size is given up with an admission; the rest goes on."""
    broker = FakeBroker(clock, maximum_packet_size=2_000)
    kiosk = await start(broker)
    await kiosk.online()
    await put_all(
        kiosk.outbox, clock, [message(P.RECEIPT), message(P.RECEIPT, 1_000), message(P.ALARM)]
    )
    large = message(P.RECEIPT).model_copy(update={"result": {"log": "x" * 5_000}})
    await put_all(kiosk.outbox, clock, [large])
    await kiosk.until(lambda: kiosk.outbox.rows == 0)
    told = [open_message(item.payload).data for item in broker.published]
    (gap,) = [data for data in told if isinstance(data, Gap)]
    assert (gap.reason, gap.count, gap.first_sequence) == ("too_large", 1, 4)


async def test_denied_is_an_alarm_not_a_loss(start, broker: FakeBroker, clock):
    """A message that the broker denies stays stored, is told of, and arrives once allowed."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.denied = [TOPICS.up("up/event/#")]
    await put(kiosk.outbox, clock, P.EVENT, P.RECEIPT)
    await kiosk.until(lambda: kiosk.denied != [])
    await kiosk.until(lambda: kiosk.outbox.rows == 1)
    broker.denied = []
    await kiosk.until(lambda: kiosk.outbox.rows == 0, step_s=5)
    assert sorted(kiosk.arrived) == [1, 2]


async def test_what_is_denied_again_waits_longer(start, broker: FakeBroker, clock):
    """The line is paid for, and somebody has to change the broker's rights first."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.denied = [TOPICS.up("up/event/#")]
    await put(kiosk.outbox, clock, P.EVENT)
    tried = []
    for times in range(1, 8):
        await kiosk.until(lambda times=times: len(kiosk.denied) == times, step_s=10)
        tried.append(clock.monotonic())
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert [round(pause_s / 60) for pause_s in pauses] == [1, 1, 2, 4, 8, 8]


async def test_reconnect_pauses_grow_with_full_jitter(start, broker: FakeBroker, clock):
    """Ceilings double from one second to five minutes; jitter may shorten each to nothing."""
    broker.stop()
    kiosk = await start(broker)
    times: list[float] = []
    for _ in range(12):
        count = len(broker.connects)
        await kiosk.until(lambda count=count: len(broker.connects) > count, step_s=1)
        times.append(clock.monotonic())
    pauses = [round(b - a) for a, b in itertools.pairwise(times)]
    assert pauses[:4] == pytest.approx([1, 2, 4, 8], abs=1.1)
    assert pauses[-1] == pytest.approx(300, abs=1.1)
    kiosk.jitter = 0.0
    count = len(broker.connects)
    await kiosk.until(lambda: len(broker.connects) > count + 3, step_s=301)


async def test_wrong_password_tries_slowly(start, clock):
    """Where only a person can help, it says so and tries every few minutes."""
    broker = FakeBroker(clock, users={"k1": "secret"})
    kiosk = await start(broker)
    kiosk.jitter = 0.0
    await kiosk.until(lambda: len(broker.connects) == 2, step_s=10)
    assert clock.monotonic() >= 150
    error = next(error for _, error in kiosk.changes if error is not None)
    assert isinstance(error, NotAuthorisedError)


async def test_twin_is_noticed(start, broker: FakeBroker, clock):
    """When another box connects with our id, it is said, and we do not fight for it."""
    kiosk = await start(broker)
    await kiosk.online()
    await broker.transport().connect(broker.connects[0])
    await kiosk.until(lambda: kiosk.changes[-1][0] is LinkState.WAITING)
    assert isinstance(kiosk.changes[-1][1], SessionTakenError)
    await clock.advance(140)
    assert len(broker.connects) == 2, "only the twin came"


async def test_broker_restarts_are_no_twin(start, broker: FakeBroker, clock):
    """A broker hangs up when it restarts: after minutes of service that is no second box."""
    kiosk = await start(broker)
    for number in range(1, 6):
        await kiosk.until(lambda count=number: kiosk.link.connects == count, step_s=5)
        await clock.advance(60)
        broker.hang_up("k1")
    await kiosk.until(lambda: kiosk.link.connects == 6, step_s=5)
    assert not any(isinstance(error, SessionTakenError) for _, error in kiosk.changes)


async def test_hang_ups_in_a_row_look_like_a_twin(start, broker: FakeBroker):
    """Where the broker only hangs up on the one of two boxes, it is noticed as well."""
    kiosk = await start(broker)
    for number in range(1, 4):
        await kiosk.until(lambda count=number: kiosk.link.connects == count, step_s=1)
        broker.hang_up("k1")
    await kiosk.until(lambda: isinstance(kiosk.link.last_error, SessionTakenError))


async def test_half_open_line_is_noticed(start, broker: FakeBroker, clock):
    """A line that only looks alive ends by keep-alive and is made anew."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.stall("k1")
    await put(kiosk.outbox, clock, P.EVENT)
    await kiosk.until(lambda: kiosk.arrived == [1], step_s=1)
    assert isinstance(kiosk.link.last_error, LineLostError)


async def test_acknowledged_only_when_handled(start, broker: FakeBroker):
    """A command whose handling failed is tried again, and acknowledged only then."""
    kiosk = await start(broker)
    await kiosk.online()
    kiosk.handler_fails = 1
    centre = await broker.transport().connect(
        type(broker.connects[0])(host="fake", port=1, client_id="centre")
    )
    centre.publish(TOPICS.command, b"do it", on_ack=lambda _: None)
    await kiosk.until(lambda: kiosk.handler_fails == 0)
    assert kiosk.received == []
    await kiosk.until(lambda: [item.payload for item in kiosk.received] == [b"do it"])
    broker.cut("k1")
    await kiosk.until(lambda: kiosk.link.connects == 2)
    assert len(kiosk.received) == 1


async def test_broker_down_for_a_day(start, broker: FakeBroker, clock):
    """A day of telemetry and events is stored, kept in its own time, and delivered afterwards."""
    broker.stop(forget=True)
    kiosk = await start(broker)
    for _ in range(24 * 12):
        await put_all(
            kiosk.outbox, clock, [message(P.TELEMETRY) for _ in range(5)] + [message(P.EVENT)]
        )
        await clock.advance(299)
    broker.start()
    await kiosk.until(lambda: kiosk.outbox.rows == 0, step_s=1)
    assert set(kiosk.arrived) == set(range(1, 24 * 12 * 6 + 1))
    times = [
        envelope.time
        for item in broker.published
        if (envelope := open_message(item.payload)).sequence is not None
    ]
    assert (max(times) - min(times)).total_seconds() > 23 * 3600


async def test_stuck_broker_is_given_up(start, broker: FakeBroker, clock):
    """A broker that keeps the line but acknowledges nothing is left after a minute."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.lose_pubacks = 1
    await put(kiosk.outbox, clock, P.EVENT)
    await kiosk.until(lambda: kiosk.outbox.rows == 0, step_s=1)
    assert kiosk.arrived == [1, 1]
    assert clock.monotonic() < 120


async def test_watermark_keeps_until_the_centre_has_it(start, broker: FakeBroker, clock):
    """With watermarks, what the broker swallowed is sent again on the next connection."""
    kiosk = await start(broker, release="watermark")
    await kiosk.online()
    await put(kiosk.outbox, clock, P.EVENT, P.EVENT, P.EVENT)
    await kiosk.until(lambda: len(kiosk.arrived) == 3)
    await kiosk.outbox.release(2)
    broker.cut("k1")
    await kiosk.until(lambda: len(kiosk.arrived) == 4)
    assert kiosk.arrived == [1, 2, 3, 3]


async def test_config_is_reported(start, broker: FakeBroker):
    """What is in force is said after each birth and when told, retained and without a number."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.cut("k1", will=False)
    await kiosk.until(lambda: kiosk.link.connects == 2)
    kiosk.version = 7
    await kiosk.link.report()
    topics = [item.topic for item in broker.published]
    assert topics == [TOPICS.state, CONFIG, TOPICS.state, CONFIG, CONFIG]
    told = open_message(broker.retained(CONFIG) or b"")
    assert told.sequence is None
    assert isinstance(told.data, ConfigReport)
    assert told.data.version == 7
    broker.stop()
    await kiosk.until(lambda: kiosk.link.state is not LinkState.ONLINE)
    await kiosk.link.report()
    await kiosk.link.announce()


async def test_report_that_is_too_large(start, broker: FakeBroker):
    """Settings that would make the report larger than a message may be are left out of it."""
    kiosk = await start(broker)
    kiosk.more = {"long": "x" * 70_000}
    await kiosk.online()
    told = open_message(broker.retained(CONFIG) or b"").data
    assert isinstance(told, ConfigReport)
    assert told.settings == {}


async def test_report_that_the_broker_denies(start, broker: FakeBroker):
    """A broker that takes no report is no reason to be without a line."""
    broker.denied = [CONFIG]
    kiosk = await start(broker)
    await kiosk.online()
    await kiosk.clock.advance(60)
    assert kiosk.link.connects == 1


async def test_prove_waits_for_a_birth_that_the_broker_has(start, broker: FakeBroker):
    """A proof is a birth, said anew and acknowledged, on the next line where this one breaks."""
    kiosk = await start(broker)
    await kiosk.online()
    kiosk.version = 3
    broker.lose_pubacks = 1
    proof = asyncio.create_task(kiosk.link.prove())
    await kiosk.clock.settle()
    broker.cut("k1", will=False)
    await kiosk.until(proof.done)
    assert proof.exception() is None
    assert kiosk.link.connects == 2
    assert [open_message(one).data.config_version for one in said_on(broker, TOPICS.state)] == [
        0,
        3,
        3,
        3,
    ]


async def test_prove_without_a_line(start, broker: FakeBroker):
    """A proof waits until there is a line."""
    broker.stop()
    kiosk = await start(broker)
    proof = asyncio.create_task(kiosk.link.prove())
    await kiosk.clock.advance(10)
    assert not proof.done()
    broker.start()
    await kiosk.until(proof.done)
    assert len(states(broker)) == 2


async def test_prove_denied(start, broker: FakeBroker):
    """A broker that does not take the birth ends the proof with a sentence."""
    kiosk = await start(broker)
    await kiosk.online()
    broker.denied = [TOPICS.state]
    with pytest.raises(NotAuthorisedError, match="check its rights"):
        await kiosk.link.prove()


async def test_media_is_handed_over(start, broker: FakeBroker, clock):
    """A picture goes straight to the broker: not retained, and for five minutes."""
    kiosk = await start(broker)
    await kiosk.online()
    began = clock.monotonic()
    await kiosk.link.send_media(COMMAND, b"\xff\xd8", "image/jpeg")
    (sent,) = [item for item in broker.published if item.topic == MEDIA]
    assert (sent.payload, sent.content_type, sent.retain) == (b"\xff\xd8", "image/jpeg", False)
    assert sent.deadline == pytest.approx(began + 300, abs=1)
    assert kiosk.outbox.rows == 0


async def test_media_over_a_broken_line(start, broker: FakeBroker):
    """A picture whose acknowledgement was lost with the line is sent again on the next one."""
    broker.stop()
    kiosk = await start(broker)
    sending = asyncio.create_task(kiosk.link.send_media(COMMAND, b"x", "image/jpeg"))
    await kiosk.clock.advance(5)
    assert not sending.done()
    broker.start()
    await kiosk.online()
    await kiosk.until(sending.done)
    broker.lose_pubacks = 1
    sending = asyncio.create_task(kiosk.link.send_media(COMMAND, b"y", "image/jpeg"))
    await kiosk.clock.settle()
    broker.cut("k1")
    await kiosk.until(sending.done)
    assert sending.exception() is None
    assert said_on(broker, MEDIA) == [b"x", b"y", b"y"]


class TouchyBroker(FakeBroker):
    """Hangs up on whoever sends it a picture."""

    def take(self, message):
        code = super().take(message)
        if message.topic == MEDIA:
            self.cut("k1")
        return code


async def test_media_that_breaks_every_line(start, clock):
    """A picture that the broker hangs up on is not sent for ever, over a line that costs money."""
    broker = TouchyBroker(clock)
    kiosk = await start(broker)
    await kiosk.online()
    sending = asyncio.create_task(kiosk.link.send_media(COMMAND, b"x", "image/jpeg"))
    await kiosk.until(sending.done)
    with pytest.raises(RefusedError, match="broke 3 times while 1 bytes"):
        await sending
    assert said_on(broker, MEDIA) == [b"x"] * 3


async def test_media_that_is_not_taken(start, clock):
    """A picture that is too large or denied is an error with a sentence, and the line stays."""
    broker = FakeBroker(clock, maximum_packet_size=10_000)
    kiosk = await start(broker)
    await kiosk.online()
    with pytest.raises(RefusedError, match="at most 9"):
        await kiosk.link.send_media(COMMAND, bytes(10_000), "image/jpeg")
    with pytest.raises(RefusedError, match="more than can be sent"):
        await kiosk.link.send_media(COMMAND, bytes(MAX_MEDIA_BYTES + 1), "image/jpeg")
    broker.denied = [TOPICS.up("up/media/#")]
    with pytest.raises(NotAuthorisedError, match="up/media"):
        await kiosk.link.send_media(COMMAND, b"x", "image/jpeg")
    assert kiosk.link.connects == 1


async def test_media_waits_no_longer_than_its_caller(start, broker: FakeBroker):
    """Whoever waits for a line may give up; nothing is sent afterwards."""
    broker.stop()
    kiosk = await start(broker)
    sending = asyncio.create_task(kiosk.link.send_media(COMMAND, b"x", "image/jpeg"))
    await kiosk.clock.advance(5)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    broker.start()
    await kiosk.online()
    assert said_on(broker, MEDIA) == []


async def test_own_words_keep_to_the_window(start, clock):
    """State, report and picture at once never exceed what the broker takes unacknowledged."""
    broker = FakeBroker(clock, receive_maximum=4)
    kiosk = await start(broker, backlog_per_s=0)
    await kiosk.online()
    broker.hold_pubacks()
    await put_all(kiosk.outbox, clock, [message(P.EVENT) for _ in range(20)])
    words = [
        asyncio.create_task(work)
        for work in (
            kiosk.link.announce(),
            kiosk.link.report(),
            kiosk.link.send_media(COMMAND, b"{}", "image/jpeg"),
            kiosk.link.send_media(COMMAND, b"{}", "image/jpeg"),
        )
    ]
    await clock.settle()
    broker.let_pubacks_go()
    await kiosk.until(lambda: len(kiosk.arrived) == 20 and all(word.done() for word in words))
    assert len(broker.connects) == 1, "the broker never had to send us away"


async def test_other_settings_at_the_next_run(start, broker: FakeBroker):
    """A link that is run again with other settings keeps its count and uses them."""
    kiosk = await start(broker)
    await kiosk.online()
    await kiosk.stop()
    kiosk.link.use(LinkSettings(keepalive_s=77), OutboxSettings())
    kiosk.task = asyncio.create_task(kiosk.link.run())
    await kiosk.online()
    assert broker.connects[-1].keepalive_s == 77
    assert (kiosk.link.session, kiosk.link.connects) == (2, 2)
