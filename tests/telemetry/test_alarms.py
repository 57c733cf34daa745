import asyncio
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contract.events import AlarmCleared, AlarmRaised
from contract.health import CameraHealth, Health, PeripheralHealth
from contract.message import Data, seal
from contract.stamp import Stamp
from telemetry.alarm_rules import DEFAULT_RULES, AlarmRule, AlarmSettings
from telemetry.alarms import AlarmBoard
from tests.support.clock import ManualClock


class Story:
    """A board, its clock, and what it published."""

    def __init__(self, **settings: Any):
        self.clock = ManualClock()
        self.tried: list[Data] = []
        self.published: list[Data] = []
        self.stamps: list[Stamp] = []
        self.broken = False
        self.board = AlarmBoard(
            clock=self.clock, publish=self.publish, settings=AlarmSettings(**settings)
        )

    async def publish(self, data: Data, stamp: Stamp) -> None:
        self.tried.append(data)
        await asyncio.sleep(0)
        if self.broken:
            msg = "disk full"
            raise OSError(msg)
        self.published.append(data)
        self.stamps.append(stamp)

    @property
    def kinds(self) -> list[str]:
        return [type(data).KIND for data in self.published]

    async def hold(self, code: str, value: float, seconds: float, subject: str | None = None):
        """Observe one value every 5 s."""
        for _ in range(int(seconds / 5)):
            await self.board.observe(code, value, subject)
            await self.clock.advance(5)

    async def see(self, health: Health, times: int) -> None:
        """Judge one sample every 5 s."""
        for _ in range(times):
            await self.board.observe_health(health, "synced")
            await self.clock.advance(5)


def sample(**values: Any) -> Health:
    return Health(cause="interval", agent_uptime_s=1, agent_loop_lag_ms=0.0, **values)


def camera(name: str = "front", **values: Any) -> CameraHealth:
    values = {"state": "online"} | values
    return CameraHealth(
        name=name, frames_per_s=25.0, decode_errors=0, dropped_frames=0, restarts=0, **values
    )


def peripheral(state: Literal["ok", "fault", "absent"]) -> PeripheralHealth:
    return PeripheralHealth(name="id-card-reader", kind="id_card_reader", state=state, code="x")


async def test_a_high_value_is_raised_after_its_hold_time_and_cleared_after_its_own():
    """An alarm tells the value, the limit and how long it lasted; the clear names the raise."""
    story = Story()
    await story.hold("memory.low", 95.5, 60)
    assert story.kinds == []
    await story.hold("memory.low", 96.0, 5)
    raised = story.published[0]
    assert isinstance(raised, AlarmRaised)
    assert raised.code == "memory.low"
    assert raised.severity == "major"
    assert (raised.value, raised.threshold) == (96.0, 90.0)
    assert raised.text == "Memory 96 % used (limit 90 %)"
    await story.hold("memory.low", 50.0, 120)
    cleared = story.published[1]
    assert isinstance(cleared, AlarmCleared)
    assert cleared.alarm_id == raised.alarm_id
    assert cleared.raised == story.stamps[0].time
    assert cleared.duration_s == (story.stamps[1].time - cleared.raised).total_seconds() == 65
    assert story.kinds == ["alarm.raised", "alarm.cleared"]
    assert story.board.active() == ()


async def test_a_spike_shorter_than_the_hold_time_is_no_alarm():
    """Values beyond the threshold count only while they stay there."""
    story = Story()
    for _ in range(20):
        await story.hold("memory.low", 99.0, 55)
        await story.hold("memory.low", 89.0, 5)
    assert story.kinds == []


async def test_between_the_thresholds_an_alarm_stays_in_force():
    """Hysteresis: below raise_at but above clear_at nothing changes."""
    story = Story()
    await story.hold("memory.low", 95.0, 65)
    await story.hold("memory.low", 85.0, 3600)
    assert story.kinds == ["alarm.raised"]
    await story.hold("memory.low", 79.0, 55)
    await story.hold("memory.low", 81.0, 5)
    await story.hold("memory.low", 79.0, 55)
    assert story.kinds == ["alarm.raised"]


async def test_cold_is_watched_downwards():
    """A rule whose clear_at is above its raise_at watches for low values."""
    story = Story()
    await story.hold("temperature.low", -28.0, 70)
    assert story.kinds == ["alarm.raised"]
    assert "-28 °C" in story.board.active()[0].text
    await story.hold("temperature.low", -17.0, 600)
    assert story.kinds == ["alarm.raised"]
    await story.hold("temperature.low", -10.0, 310)
    assert story.kinds == ["alarm.raised", "alarm.cleared"]


async def test_raising_and_clearing_twice_says_it_once():
    """Conditions that others know may be repeated as often as they like."""
    story = Story()
    for _ in range(3):
        await story.board.raise_("link.twin", "critical", "Two boxes with one id", value=2)
    for _ in range(3):
        await story.board.clear("link.twin")
    await story.board.clear("never.raised")
    assert story.kinds == ["alarm.raised", "alarm.cleared"]


async def test_raising_from_many_tasks_says_it_once():
    """Concurrent words about one condition make one alarm."""
    story = Story()
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(story.board.raise_("storage.failed", "critical", "Set aside"))
    assert story.kinds == ["alarm.raised"]


async def test_a_rule_gives_its_hold_times_to_conditions_said_directly():
    """A camera lost for a moment is no alarm; one that stays lost needs no second word."""
    story = Story()
    await story.board.raise_("camera.lost", "warning", "Camera front: no frames", subject="front")
    await story.clock.advance(29)
    await story.board.clear("camera.lost", subject="front")
    await story.board.raise_("camera.lost", "warning", "Camera front: no frames", subject="front")
    await story.clock.advance(29)
    await story.board.tick()
    assert story.kinds == []
    await story.clock.advance(1)
    await story.board.tick()
    (alarm,) = story.board.active()
    assert (alarm.subject, alarm.severity) == ("front", "major")


async def test_each_subject_has_its_own_alarm():
    """Two lost cameras are two alarms, cleared apart."""
    story = Story()
    lost = sample(cameras=(camera("front", state="lost"), camera("rear", state="lost")))
    for _ in range(8):
        await story.board.observe_health(lost, "synced")
        await story.clock.advance(5)
    assert {alarm.subject for alarm in story.board.active()} == {"front", "rear"}
    back = sample(cameras=(camera("front"), camera("rear", state="lost")))
    for _ in range(4):
        await story.board.observe_health(back, "synced")
        await story.clock.advance(5)
    assert [alarm.subject for alarm in story.board.active()] == ["rear"]


async def test_a_camera_that_is_no_longer_configured_is_not_lost():
    """The alarm of a camera that vanished from the sample is cleared."""
    story = Story()
    for cameras in [(camera(conditions=("covered",)),)] * 8 + [()] * 8:
        await story.board.observe_health(sample(cameras=cameras), "synced")
        await story.clock.advance(5)
    assert story.kinds == ["alarm.raised", "alarm.cleared"]
    assert story.published[0].code == "camera.tampered"


@pytest.mark.parametrize("state", ["fault", "absent"])
async def test_a_peripheral_that_does_not_work_is_an_alarm_until_it_does(state):
    """Broken or unplugged; the alarm names it, and one that is no longer set up has none."""
    story = Story()
    broken, well = [(peripheral(state),)] * 8, [(peripheral("ok"),)] * 4
    for peripherals in [*broken, *well, *broken, *[()] * 4]:
        await story.board.observe_health(sample(peripherals=peripherals), "synced")
        await story.clock.advance(5)
    assert story.kinds == ["alarm.raised", "alarm.cleared"] * 2
    assert story.published[0].code == "peripheral.fault"
    assert story.published[0].subject == "id-card-reader"


async def test_a_sample_is_judged_by_every_rule():
    """Each value of the message that has a rule can raise its alarm, and so can the clock."""
    story = Story()
    bad = sample(
        cpu_percent=100.0,
        memory_used_percent=99.0,
        swap_used_percent=90.0,
        disk_used_percent=99.0,
        disk_inodes_used_percent=99.0,
        disk_wear_percent=110.0,
        disk_read_only=True,
        temperature_max_c=99.0,
        temperature_min_c=-30.0,
        modem_signal_percent=5.0,
        outbox_used_percent=80.0,
        certificate_days_left=10.0,
        cameras=(camera(state="lost", conditions=("black",)),),
        peripherals=(peripheral("fault"),),
    ).model_copy(update={"agent_loop_lag_ms": 5000.0})
    for _ in range(200):
        await story.board.observe_health(bad, "unsynced")
        await story.clock.advance(5)
    assert {alarm.code for alarm in story.board.active()} == {rule.code for rule in DEFAULT_RULES}
    assert set(story.kinds) == {"alarm.raised"}


async def test_a_probe_that_falls_silent_leaves_a_pending_condition_behind():
    """One high sample and then nothing is no value that stays: it has to hold anew."""
    story = Story()
    await story.see(sample(memory_used_percent=95.0), 1)
    await story.see(sample(), 100)
    assert story.kinds == []
    await story.see(sample(memory_used_percent=95.0), 12)
    assert story.kinds == []
    await story.see(sample(memory_used_percent=95.0), 1)
    assert story.kinds == ["alarm.raised"]


async def test_an_alarm_on_what_is_gone_is_cleared():
    """A modem that is unplugged is not weak for ever: it has the time of a good signal."""
    story = Story()
    await story.see(sample(modem_signal_percent=5.0), 61)
    await story.see(sample(), 60)
    assert story.kinds == ["alarm.raised"]
    await story.see(sample(), 1)
    cleared = story.published[1]
    assert isinstance(cleared, AlarmCleared)
    assert (cleared.code, cleared.value) == ("modem.weak", None)
    assert story.board.active() == ()


@pytest.mark.parametrize("clear_after_s", [0, 60])
@pytest.mark.parametrize("back", [95.0, 85.0])
async def test_a_probe_that_times_out_now_and_then_does_not_make_an_alarm_flap(clear_after_s, back):
    """Silence shorter than a minute changes nothing, however soon a good value would clear it."""
    rules = {"memory.low": {"clear_after_s": clear_after_s, "raise_after_s": 0}}
    story = Story(rules=rules)
    await story.see(sample(memory_used_percent=95.0), 1)
    for _ in range(20):
        await story.see(sample(), 11)
        await story.see(sample(memory_used_percent=back), 1)
    assert story.kinds == ["alarm.raised"]
    await story.see(sample(), 1)
    await story.see(sample(memory_used_percent=50.0), 13 if clear_after_s else 1)
    assert story.kinds == ["alarm.raised", "alarm.cleared"]


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("disk.read_only", {"disk_read_only": True}),
        ("disk.full", {"disk_used_percent": 99.0}),
        ("disk.inodes", {"disk_inodes_used_percent": 99.0}),
        ("disk.wear", {"disk_wear_percent": 90.0}),
        ("certificate.expiring", {"certificate_days_left": 3.0}),
    ],
)
async def test_what_silence_does_not_mend_stays_in_force(code, bad):
    """A disk that hangs answers no probe, and a certificate runs out whatever the clock says."""
    story = Story()
    await story.see(sample(**bad), 8)
    await story.see(sample(), 1000)
    assert [alarm.code for alarm in story.board.active()] == [code]
    assert story.kinds == ["alarm.raised"]


async def test_a_disk_that_hangs_at_once_is_an_alarm_all_the_same():
    """It said that it is read-only, and nothing since: that is how such a disk goes on."""
    story = Story()
    await story.see(sample(disk_read_only=True), 1)
    await story.see(sample(), 3)
    assert [alarm.code for alarm in story.board.active()] == ["disk.read_only"]


async def test_the_worst_alarm_comes_first():
    """Alarms in force are ordered by severity, then by age."""
    story = Story()
    for code, severity in [("a", "warning"), ("b", "major"), ("c", "critical"), ("d", "major")]:
        await story.board.raise_(code, severity, "text")
        await story.clock.advance(1)
    assert [alarm.code for alarm in story.board.active()] == ["c", "b", "d", "a"]


async def test_an_alarm_that_cannot_be_stored_is_tried_again_as_the_same_alarm():
    """A failing disk delays alarms, and ends nothing."""
    story = Story()
    story.broken = True
    await story.board.raise_("storage.failed", "critical", "Set aside")
    assert story.board.active() == ()
    story.broken = False
    await story.board.tick()
    story.broken = True
    await story.board.clear("storage.failed")
    assert len(story.board.active()) == 1
    story.broken = False
    await story.board.tick()
    assert story.kinds == ["alarm.raised", "alarm.cleared"]
    assert len({data.alarm_id for data in story.tried}) == 1
    assert len(story.tried) == 4


async def test_a_condition_that_ends_while_its_alarm_is_being_stored_is_cleared():
    """A raise in flight is not forgotten by the clear that overtakes it."""
    story = Story()
    async with asyncio.TaskGroup() as group:
        group.create_task(story.board.raise_("x", "minor", "text"))
        group.create_task(story.board.clear("x"))
    await story.board.tick()
    assert story.kinds == ["alarm.raised", "alarm.cleared"]
    assert story.board.active() == ()


async def test_a_condition_that_returns_while_its_clear_is_being_stored_is_a_new_alarm():
    """The alarm that was cleared stays cleared; the next one has its own id."""
    story = Story()
    await story.board.raise_("x", "minor", "text")
    async with asyncio.TaskGroup() as group:
        group.create_task(story.board.clear("x"))
        group.create_task(story.board.raise_("x", "minor", "text"))
    first, cleared, second = story.published
    assert first.alarm_id == cleared.alarm_id != second.alarm_id
    assert [alarm.alarm_id for alarm in story.board.active()] == [second.alarm_id]


async def test_the_number_of_alarms_is_bounded_and_all_of_them_fit_one_message():
    """A part gone mad cannot fill the memory, nor make the health message too large to send."""
    story = Story()
    for number in range(200):
        await story.board.raise_("mad", "minor", "停" * 1000, subject=f"{'s' * 59}{number}")
    alarms = story.board.active()
    assert len(alarms) == len(story.published) == 64
    seal(sample(alarms=alarms), kiosk="k" * 63, stamp=story.clock.stamp(), sequence=1)
    await story.board.clear("mad", subject=alarms[0].subject)
    await story.board.raise_("late", "critical", "room again")
    assert story.board.active()[0].code == "late"


async def test_thresholds_are_settings():
    """A rule can be moved, sped up, weighed otherwise or switched off."""
    story = Story(
        rules={
            "cpu.high": {"raise_at": 50, "clear_at": 40, "raise_after_s": 0, "severity": "major"},
            "disk.full": {"enabled": False},
        }
    )
    await story.board.observe("cpu.high", 50.0)
    await story.hold("disk.full", 100.0, 600)
    assert [(alarm.code, alarm.severity) for alarm in story.board.active()] == [
        ("cpu.high", "major")
    ]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"cpu.hihg": {}}, "no alarm 'cpu.hihg'"),
        ({"cpu.high": {"raise_at": 80}}, "would flap"),
        ({"cpu.high": {"raise_after_s": -1}}, "greater than or equal to 0"),
        ({"cpu.high": {"colour": "red"}}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(rules, words):
    """An unknown alarm, thresholds without hysteresis and negative times are errors at start."""
    with pytest.raises(ValidationError, match=words):
        AlarmSettings(rules=rules)


RULES = st.builds(
    lambda clear_at, gap, up, raise_after_s, clear_after_s: {
        "raise_at": clear_at + gap if up else clear_at - gap,
        "clear_at": clear_at,
        "raise_after_s": raise_after_s,
        "clear_after_s": clear_after_s,
    },
    st.floats(-100, 100),
    st.floats(0.1, 50),
    st.booleans(),
    st.floats(0, 60),
    st.floats(0, 60),
)
STEPS = st.lists(
    st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]) | st.floats(-1, 2), st.floats(0, 50)),
    max_size=30,
)
"""Where the value is between clear_at (0) and raise_at (1), and for how many seconds."""


@given(change=RULES, steps=STEPS)
def test_alarms_never_flap(change, steps):
    """However a value jumps: raises and clears alternate, each clear belongs to the raise before
    it, and no two of them are closer together than the hold time of the later one.
    """

    async def scenario() -> None:
        story = Story(rules={"cpu.high": change})
        for place, pause in steps:
            span = change["raise_at"] - change["clear_at"]
            await story.board.observe("cpu.high", change["clear_at"] + place * span)
            await story.clock.advance(pause)
        last = float("-inf")
        for number, (data, stamp) in enumerate(zip(story.published, story.stamps, strict=True)):
            hold = change["clear_after_s"] if number % 2 else change["raise_after_s"]
            if number % 2:
                assert isinstance(data, AlarmCleared)
                assert data.alarm_id == story.published[number - 1].alarm_id
            else:
                assert isinstance(data, AlarmRaised)
            assert stamp.monotonic_ms / 1000 - last >= hold - 0.01
            last = stamp.monotonic_ms / 1000
        assert len(story.board.active()) == len(story.published) % 2

    asyncio.run(scenario())


def test_equal_thresholds_are_no_rule():
    """A rule without hysteresis cannot be made."""
    with pytest.raises(ValueError, match="would flap"):
        AlarmRule("x", "minor", "text", raise_at=1, clear_at=1)


async def test_other_rules_come_in_force_while_alarms_are():
    """A changed threshold judges the next value; an alarm whose rule is gone is cleared."""
    story = Story()
    await story.hold("memory.low", 95.0, 70)
    await story.hold("camera.lost", 1, 70, "front")
    assert story.kinds == ["alarm.raised", "alarm.raised"]
    await story.board.adopt(AlarmSettings())
    await story.clock.advance(100)
    assert len(story.kinds) == 2, "the same rules change nothing"
    await story.board.adopt(
        AlarmSettings.model_validate({"rules": {"camera.lost": {"enabled": False}}})
    )
    assert story.kinds[2:] == ["alarm.cleared"]
    assert [alarm.code for alarm in story.board.active()] == ["memory.low"]
    higher = {"rules": {"memory.low": {"raise_at": 99, "clear_at": 97}}}
    await story.board.adopt(AlarmSettings.model_validate(higher))
    await story.hold("memory.low", 95.0, 70)
    assert story.board.active() == ()
