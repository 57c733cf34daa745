"""What the console makes of messages, in whatever order they come."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from console.fleet import Change, Fleet
from console.sequences import Missing, Sequences
from console.view import fleet_table, kiosk_panel
from console.words import CHINESE, ENGLISH
from contract import Data, Stamp, Topics, seal
from contract.events import AlarmCleared, AlarmRaised, CameraLost
from contract.gap import Gap
from contract.health import ActiveAlarm, CameraHealth, Health
from contract.ids import uuid7
from contract.receipt import Receipt
from contract.state import State
from tests.support.clock import START

ROOT = "kiosk/v1"


class Wire:
    """Messages of kiosks on their way into a fleet."""

    def __init__(self):
        self.fleet = Fleet(ROOT)
        self.now = START
        self.sequence = 0

    def stamp(self) -> Stamp:
        return Stamp(time=self.now, monotonic_ms=0, boot_id="b", time_quality="synced")

    def send(
        self, data: Data, *, kiosk: str = "k-1", sequence: int | None = None, retained: bool = False
    ) -> Change | None:
        if sequence is None and not isinstance(data, State):
            self.sequence += 1
            sequence = self.sequence
        payload = seal(data, kiosk=kiosk, stamp=self.stamp(), sequence=sequence).payload
        topic = Topics(kiosk, ROOT).up(data.SUFFIX)
        return self.fleet.feed(topic, payload, now=self.now, retained=retained)

    def row(self, kiosk: str = "k-1") -> dict[str, Any]:
        return self.fleet.kiosk(kiosk).summary()


@pytest.fixture
def wire() -> Wire:
    return Wire()


def state(word: str, session: int, **fields) -> State:
    return State(state=word, session=session, last_sequence=0, **fields)


def health(*alarms: ActiveAlarm, **fields) -> Health:
    return Health(
        cause="interval", agent_uptime_s=1, agent_loop_lag_ms=0.1, alarms=alarms, **fields
    )


def raised(severity="major", code="disk.full", **fields) -> AlarmRaised:
    return AlarmRaised(
        alarm_id=uuid7(1), code=code, severity=severity, text="nearly full", **fields
    )


def active(alarm: AlarmRaised) -> ActiveAlarm:
    return ActiveAlarm(
        alarm_id=alarm.alarm_id,
        code=alarm.code,
        severity=alarm.severity,
        raised=START,
        text=alarm.text,
    )


def cleared(alarm: AlarmRaised) -> AlarmCleared:
    return AlarmCleared(
        alarm_id=alarm.alarm_id,
        code=alarm.code,
        severity=alarm.severity,
        raised=START,
        duration_s=5,
    )


def test_the_will_of_an_old_session_is_late(wire):
    """An offline of an earlier session changes nothing; that of the present one does."""
    wire.send(state("online", 7))
    assert wire.send(state("offline", 6)) is None
    assert wire.row()["state"] == "online"
    wire.send(state("offline", 7))
    assert wire.row()["state"] == "offline"


def test_a_replaced_box_begins_anew(wire):
    """A birth with a lower session is another box: the old one's health and alarms go."""
    wire.send(state("online", 900))
    wire.send(raised())
    wire.send(health(cpu_percent=50.0), sequence=5000)
    wire.send(state("online", 1))
    wire.send(health(cpu_percent=3.0), sequence=2)
    row = wire.row()
    assert (row["session"], row["state"], row["cpu_percent"]) == (1, "online", 3.0)
    assert row["alarms"] == 0


def test_last_seen_is_when_the_kiosk_spoke(wire):
    """Live messages count; what the broker kept or says on its own does not."""
    wire.send(state("online", 1))
    will = seal(state("offline", 1), kiosk="k-1", stamp=wire.stamp(), sequence=None).payload
    wire.now += timedelta(minutes=5)
    wire.send(health())
    later = wire.now + timedelta(minutes=5)
    assert wire.fleet.feed(f"{ROOT}/k-1/up/state", will, now=later) is not None
    assert wire.fleet.kiosk("k-1").last_seen == wire.now


def test_a_kept_birth_does_not_make_a_kiosk_fresh(wire):
    """A retained birth of yesterday shows yesterday."""
    payload = seal(state("online", 1), kiosk="k-1", stamp=wire.stamp(), sequence=None).payload
    later = START + timedelta(days=1)
    wire.fleet.feed(f"{ROOT}/k-1/up/state", payload, now=later, retained=True)
    assert wire.fleet.kiosk("k-1").last_seen == START


def test_health_from_the_backlog_does_not_overwrite_the_present(wire):
    """After an outage live messages come first: an older sample is not news."""
    wire.send(health(cpu_percent=10.0), sequence=100)
    wire.send(health(cpu_percent=90.0), sequence=50)
    assert wire.row()["cpu_percent"] == 10.0


def test_the_worst_alarm_in_force_is_shown(wire):
    """The gravest first, until it is cleared."""
    minor, critical = raised("minor", "cpu.hot"), raised("critical", "disk.full")
    wire.send(minor)
    wire.send(critical)
    assert (wire.row()["worst_severity"], wire.row()["alarms"]) == ("critical", 2)
    wire.send(cleared(critical))
    assert wire.row()["worst_alarm"] == "cpu.hot"


def test_health_settles_which_alarms_hold(wire):
    """A console that comes later learns them from health; what is in no later sample is over."""
    known, gone, new = raised(code="a"), raised(code="b"), raised(code="c")
    wire.send(gone, sequence=1)
    wire.send(new, sequence=12)
    wire.send(health(active(known)), sequence=10)
    alarms = {alarm.code for alarm in wire.fleet.kiosk("k-1").alarms.values()}
    assert alarms == {"a", "c"}


def test_alarms_do_not_rise_from_the_dead(wire):
    """Neither a repeated raise, nor one from the backlog, nor an older sample revives an alarm."""
    alarm, old = raised(), raised(code="old")
    wire.send(cleared(alarm), sequence=11)
    wire.send(alarm, sequence=9)
    wire.send(health(active(alarm)), sequence=10)
    wire.send(old, sequence=3)
    assert wire.row()["alarms"] == 0


def test_a_repeated_message_is_no_change(wire):
    """At least once on the wire is once on the screen."""
    data = CameraLost(camera="front", reason="hung", text="no frame")
    payload = seal(data, kiosk="k-1", stamp=wire.stamp(), sequence=1).payload
    topic = f"{ROOT}/k-1/up/event/camera.lost"
    assert wire.fleet.feed(topic, payload, now=START) is not None
    assert wire.fleet.feed(topic, payload, now=START) is None
    assert len(wire.fleet.kiosk("k-1").events) == 1


def test_losses_are_added_up(wire):
    """What a kiosk admits to have lost is shown."""
    for _ in range(2):
        wire.send(
            Gap(message_class="event", count=4, first_sequence=1, last_sequence=9, reason="full")
        )
    assert wire.row()["messages_lost"] == 8


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("kiosk/v1/k-1/up/health", b"{"),
        ("kiosk/v1/k-1/up/health", b""),
        ("kiosk/v1/K 1/up/health", b"{}"),
        ("other", b"{}"),
        (
            "kiosk/v1/k-1/up/event/camera.lost",
            seal(health(), kiosk="k-1", stamp=Wire().stamp(), sequence=1).payload,
        ),
        (
            "kiosk/v1/k-2/up/health",
            seal(health(), kiosk="k-1", stamp=Wire().stamp(), sequence=1).payload,
        ),
    ],
)
def test_what_breaks_the_contract_is_counted(wire, topic, payload):
    """Nonsense, and messages that lie about their sender or kind, change nothing."""
    assert wire.fleet.feed(topic, payload, now=START) is None
    assert wire.fleet.malformed == 1


@given(st.text(max_size=40), st.binary(max_size=200))
def test_no_message_raises(topic, payload):
    """Whatever a broker sends, the console goes on."""
    fleet = Fleet(ROOT)
    fleet.feed(topic, payload, now=START)
    fleet.feed("kiosk/v1/k-1/up/health", payload, now=START)


def rendered(renderable) -> str:
    console = Console(width=100, record=True, file=StringIO())
    console.print(renderable)
    return console.export_text()


@pytest.mark.parametrize("words", [ENGLISH, CHINESE])
def test_the_table_fits_a_hundred_columns(wire, words):
    """Every column is readable at 100 columns, with long names and bad news."""
    wire.send(state("online", 1), kiosk="district-7-east-gate-02")
    cameras = tuple(
        CameraHealth(
            name=name,
            state=word,
            frames_per_s=25,
            decode_errors=0,
            dropped_frames=0,
            restarts=0,
        )
        for name, word in (("front", "online"), ("plate", "lost"))
    )
    wire.send(
        health(
            cpu_percent=100.0,
            memory_used_percent=99.5,
            disk_used_percent=100.0,
            temperature_max_c=-30.4,
            outbox_rows=200_000,
            cameras=cameras,
        ),
        kiosk="district-7-east-gate-02",
    )
    wire.send(raised("critical", "camera.lost", subject="plate"), kiosk="district-7-east-gate-02")
    wire.send(state("offline", 1), kiosk="k-2")
    text = rendered(fleet_table(wire.fleet.kiosks, START, words))
    row = next(line for line in text.splitlines() if "district" in line)
    for part in ("district-7-east-gate-02", "0s", "camera.lost", "100", "-30", "200000", "1/2"):
        assert part in row
    assert words.states.get("offline", "offline") in text
    assert "k-2" in text


def test_a_large_fleet_shows_the_urgent_ones(wire):
    """More kiosks than rows: offline and alarms first, and how many are left out."""
    for number in range(9):
        wire.send(state("online", 1), kiosk=f"k-{number}")
    wire.send(state("offline", 1), kiosk="k-7")
    wire.send(raised("minor"), kiosk="k-5")
    wire.send(raised("major"), kiosk="k-6")
    text = rendered(fleet_table(wire.fleet.kiosks, START, max_rows=4))
    rows = [line.split()[0] for line in text.splitlines()[1:5]]
    assert rows == ["k-7", "k-6", "k-5", "k-0"]
    assert "and 5 more" in text


def test_the_panel_shows_a_kiosk(wire):
    """State, health, alarm, newest events and receipts of one kiosk."""
    wire.send(state("online", 1, agent_version="0.1.0"))
    wire.send(health(cpu_percent=12.0))
    wire.send(raised(subject="sda"))
    wire.send(CameraLost(camera="front", reason="hung", text="no frame for 5 s"))
    wire.send(Receipt(command_id=uuid7(1), action="ping", status="succeeded"))
    text = rendered(kiosk_panel(wire.fleet.kiosk("k-1"), START))
    for part in ("k-1", "online", "0.1.0", "CPU 12%", "major disk.full sda: nearly full"):
        assert part in text
    assert "no frame for 5 s" in text
    assert "ping succeeded" in text
    assert "none" in rendered(kiosk_panel(wire.fleet.kiosk("k-9"), START))


def test_nothing_from_the_wire_is_markup_or_control(wire):
    """A kiosk cannot colour, move or clear the operator's screen."""
    wire.send(CameraLost(camera="front", reason="hung", text="[red]x[/red]\x1b[2J\n\x9b2J\u202e"))
    text = rendered(kiosk_panel(wire.fleet.kiosk("k-1"), START))
    assert "[red]x[/red]" in text
    assert not set(text) & {"\x1b", "\x9b", "\u202e"}


def test_holes_in_the_numbers_are_told_once_and_late():
    """A number that is only overtaken is not missing; one that stays away is, told once."""
    sequences = Sequences()
    for number in (5, 7, 6, 8, 12):
        sequences.add(number, now=0.0)
    assert sequences.overdue(4.0, after_s=5.0) == []
    assert sequences.overdue(5.0, after_s=5.0) == [Missing(9, 11)]
    assert sequences.overdue(9.0, after_s=5.0) == []
    sequences.add(10, now=9.0)
    assert sequences.missing == [Missing(9, 9), Missing(11, 11)]
    assert sequences.overdue(99.0) == []


@given(st.permutations(range(1, 30)), st.integers(0, 29))
def test_holes_are_exactly_what_is_missing(numbers, count):
    """Whatever the order, the holes are the numbers between the first and the newest not seen."""
    sequences = Sequences()
    seen = numbers[:count]
    for number in seen:
        sequences.add(number, now=0.0)
    expected = (
        {number for number in range(seen[0], max(seen)) if number not in seen} if seen else set()
    )
    found = {number for hole in sequences.missing for number in range(hole.first, hole.last + 1)}
    assert found == expected
