"""Opening hours, by the clock on the wall."""

from datetime import UTC, datetime, time, timedelta
from time import tzset
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.supervision.hours import is_open
from agent.supervision.settings import DAYS, OpeningHours, SupervisionSettings

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
WORKDAYS = ("mon", "tue", "wed", "thu", "fri")

minutes = st.times().map(lambda one: one.replace(second=0, microsecond=0))
moments = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis puts the zone on
    max_value=datetime(2035, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
zones = st.sampled_from(
    [UTC, SHANGHAI, BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("Australia/Lord_Howe")]
)


def row(opens, closes, *days):
    return OpeningHours(opens=opens, closes=closes, days=days or DAYS)


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-23 08:29:59", False),  # Monday
        ("2026-11-23 08:30:00", True),
        ("2026-11-27 17:29:59", True),
        ("2026-11-27 17:30:00", False),
        ("2026-11-28 12:00:00", False),  # Saturday
    ],
)
def test_a_working_day(moment, open_):
    """Open from the first minute to before the last, on the days that are named."""
    hours = [row("08:30", "17:30", *WORKDAYS)]
    local = datetime.fromisoformat(moment).replace(tzinfo=SHANGHAI)
    assert is_open(hours, local.astimezone(UTC), SHANGHAI) is open_


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-27 21:59", False),  # Friday
        ("2026-11-27 22:00", True),
        ("2026-11-28 00:00", True),
        ("2026-11-28 05:59", True),
        ("2026-11-28 06:00", False),
        ("2026-11-28 22:00", False),
        ("2026-11-29 03:00", False),
    ],
)
def test_over_midnight(moment, open_):
    """A night belongs to the day on which it begins."""
    local = datetime.fromisoformat(moment).replace(tzinfo=SHANGHAI)
    assert is_open([row("22:00", "06:00", "fri")], local, SHANGHAI) is open_


def test_midnight_ends_a_day():
    """Who closes at 00:00 is open until the day is over, and not in the next."""
    hours = [row("08:00", "00:00", "sun")]
    sunday = datetime(2026, 11, 29, 23, 59, 59, tzinfo=SHANGHAI)
    assert is_open(hours, sunday, SHANGHAI)
    assert not is_open(hours, sunday + timedelta(seconds=1), SHANGHAI)


@given(moment=moments, at=minutes, zone=zones)
def test_the_same_time_twice_is_a_day(moment, at, zone):
    """A row that closes when it opens is open for 24 hours: every day, always."""
    assert is_open([row(f"{at:%H:%M}", f"{at:%H:%M}")], moment, zone)


@given(moment=moments, opens=minutes, closes=minutes, zone=zones)
def test_open_or_closed(moment, opens, closes, zone):
    """At every moment of any year and zone a row or what it leaves of the day is open, not both."""
    if opens == closes:
        return
    one = is_open([row(f"{opens:%H:%M}", f"{closes:%H:%M}")], moment, zone)
    rest = is_open([row(f"{closes:%H:%M}", f"{opens:%H:%M}")], moment, zone)
    assert one is not rest


@given(
    moment=moments,
    rows=st.lists(
        st.tuples(minutes, minutes, st.sets(st.sampled_from(DAYS), min_size=1)), max_size=4
    ),
    zone=zones,
)
def test_minute_by_minute(moment, rows, zone):
    """The same as walking back from the moment to each opening of the two days before it."""
    hours = [row(f"{o:%H:%M}", f"{c:%H:%M}", *sorted(days)) for o, c, days in rows]
    wall = moment.astimezone(zone).replace(tzinfo=None)
    expected = False
    for opens, closes, days in rows:
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            begin = datetime.combine(day, opens)
            end = datetime.combine(day + timedelta(days=closes <= opens), closes)
            expected |= DAYS[day.weekday()] in days and begin <= wall < end
    assert is_open(hours, moment, zone) is expected


def test_summer_time_begins():
    """The hour that is skipped does not come: 01:59:59 is followed by 03:00."""
    before = datetime(2027, 3, 28, 0, 59, 59, tzinfo=UTC)
    assert is_open([row("01:00", "02:30")], before, BERLIN)
    assert not is_open([row("01:00", "02:30")], before + timedelta(seconds=1), BERLIN)
    assert is_open([row("02:30", "04:00")], before + timedelta(seconds=1), BERLIN)


def test_summer_time_ends():
    """The hour that comes twice is open both times."""
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in summer time
    hours = [row("02:00", "02:45")]
    opened = [is_open(hours, first + timedelta(minutes=m), BERLIN) for m in (0, 20, 60, 80)]
    assert opened == [True, False, True, False]


def test_the_machines_own_zone(monkeypatch):
    """Without a zone the machine's own counts."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    tzset()
    try:
        assert is_open([row("08:00", "09:00")], datetime(2026, 11, 23, 0, 30, tzinfo=UTC), None)
    finally:
        monkeypatch.undo()
        tzset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"time_zone": "Asia/Shangai"},
        {"hours": [{"opens": "8:30", "closes": "17:30"}]},
        {"hours": [{"opens": "08:30", "closes": "24:00"}]},
        {"hours": [{"opens": "08:30", "closes": "17:30", "days": ["monday"]}]},
        {"hours": [{"opens": "08:30", "closes": "17:30", "days": []}]},
    ],
)
def test_what_is_no_time_is_refused(wrong):
    """A zone, day or time that does not exist is an error in the settings."""
    with pytest.raises(ValidationError):
        SupervisionSettings(**wrong)


def test_settings_are_shown_as_they_were_written():
    """Zone and times survive being reported and read again."""
    written = {"time_zone": "Asia/Shanghai", "hours": [{"opens": "22:00", "closes": "06:00"}]}
    settings = SupervisionSettings(**written)
    said = settings.model_dump(mode="json")
    assert said["time_zone"] == "Asia/Shanghai"
    assert SupervisionSettings.model_validate(said) == settings
    assert time.fromisoformat(said["hours"][0]["opens"]) == time(22)
