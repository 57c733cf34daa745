import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import get_args

import pytest

from contract import config, events, gap, health, identity, plates, receipt, state
from contract.ids import uuid7
from tests.support import samples
from tests.support.centre_database import Centre, Kiosk, Said, centre_database
from tests.support.postgres import CENTRE, SqlError

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def filled():
    with centre_database() as database:
        yield Centre(database)


@pytest.fixture
def centre(filled):
    filled.clear()
    return filled


@pytest.fixture
def kiosk():
    return Kiosk()


ROOMS = (
    "health",
    "state",
    "config",
    "event",
    "alarm",
    "receipt",
    "gap",
    "plate",
    "person",
    "finding",
)
TIMES = {"raised", "begun", "since", "started", "from_time", "to_time"}
moment = datetime.fromisoformat


def refused(centre):
    return [row["reason"] for row in centre.rows("select * from centre.refused order by received")]


def a_health(**fields):
    alarms = fields.pop("alarms", ())
    return health.Health(
        cause="interval", agent_uptime_s=1, agent_loop_lag_ms=1.0, alarms=alarms, **fields
    )


def a_birth(session=1, last=0, what="online", **fields):
    return state.State(state=what, session=session, last_sequence=last, **fields)


def a_config(version):
    return config.ConfigReport(
        version=version, hash="a" * 64, state="confirmed", since=NOW, settings={}
    )


def a_receipt(status, command=samples.ID, **fields):
    return receipt.Receipt(command_id=command, action="ping", status=status, **fields)


def an_alarm(code="disk.full", severity="major"):
    """One raised, and cleared."""
    same = {"alarm_id": uuid7(1_790_000_000_000), "code": code, "severity": severity}
    return (
        events.AlarmRaised(text="full", value=91.0, **same),
        events.AlarmCleared(raised=samples.TIME, duration_s=60.0, **same),
    )


def a_gap(first, last, lost, what="telemetry"):
    return gap.Gap(
        message_class=what, count=lost, first_sequence=first, last_sequence=last, reason="full"
    )


def changed(said, data=(), **envelope):
    message = json.loads(said.payload) | envelope
    message["data"] |= dict(data)
    return replace(said, payload=json.dumps(message).encode())


def test_it_may_be_applied_again(centre, kiosk):
    """Data, changed retention and rights are as they were."""
    centre.hears(kiosk.say(data) for data in samples.SAMPLES)
    rights = "select table_name, grantee, privilege_type from information_schema.role_table_grants"
    rights += " where table_schema = 'centre' order by 1, 2, 3"
    centre.database.run("update centre.retention set keep = '7 days' where what = 'plate'")
    before = centre.rows(rights), centre.rows("select * from centre.kiosk")
    centre.database.apply(CENTRE / "schema.sql")
    assert (centre.rows(rights), centre.rows("select * from centre.kiosk")) == before
    keep = "update centre.retention set keep = '30 days' where what = 'plate' returning keep"
    assert centre.value("select keep from centre.retention where what = 'plate'") == "7 days"
    centre.database.run(keep)


def test_an_earlier_one_is_brought_up_to_date(centre, kiosk):
    """As an earlier version left it: without columns, ids and an order that there are now."""
    raised, cleared = an_alarm()
    centre.at(NOW - timedelta(days=50))
    centre.hears(kiosk.say(data) for data in (a_birth(8), a_config(1), raised, cleared, cleared))
    centre.database.run(
        "alter table centre.alarm drop again cascade",
        "alter table centre.kiosk "
        "drop state_time cascade, drop state_boot, drop state_monotonic_ms",
        "update centre.alarm set duration_s = 1.7e308 where event = 'alarm.cleared'",
        "delete from centre.arrival",
    )
    centre.database.apply(CENTRE / "schema.sql")
    row = centre.row("select count(*), max(duration_s) as longest from centre.alarms")
    assert row == {"count": 1, "longest": None}
    assert centre.value("select count(*) from centre.arrival") == 2
    centre.at(NOW)
    centre.hears(kiosk.say(a_birth(7)))
    assert centre.value("select session from centre.fleet join centre.kiosk using (kiosk)") == 8


def test_nothing_of_a_message_gets_lost(centre, kiosk):
    """Columns, and the rest beside them, are the message: of every type in the contract."""
    said = [kiosk.say(data) for data in samples.SAMPLES]
    centre.hears(said)
    assert refused(centre) == []
    assert centre.value("select count(*) from centre.inbox") == 0
    rooms = {
        row["id"]: row
        for table in ROOMS
        for row in centre.rows(f"select *, '{table}' as room from centre.{table}")
    }
    assert {row["room"] for row in rooms.values()} == set(ROOMS)
    for one in said:
        envelope, row = json.loads(one.payload), rooms.pop(one.id)
        content = envelope["data"]
        assert (row["kiosk"], row["sequence"]) == ("baotou-017", envelope.get("sequence"))
        assert (row["synced"], moment(row["time"])) == (True, samples.TIME)
        _, _, event = one.topic.partition("/up/event/")
        assert row.get("event", "") == event
        kept = row["data"] | {name: row[name] for name in content if name in row}
        for name in TIMES & content.keys():
            assert moment(kept.pop(name)) == moment(content.pop(name))
        assert kept == content
    assert not rooms


def test_no_field_of_a_message_is_called_like_a_column_of_all(centre):
    """Else one would cover the other."""
    columns = {
        row["column_name"]
        for row in centre.rows(
            "select column_name from information_schema.columns "
            "where table_schema = 'centre' and table_name = 'envelope'"
        )
    } | {"event", "data", "late", "settled", "closed", "again"}
    fields = {name for data in samples.SAMPLES for name in type(data).model_fields}
    assert columns & fields == set()


def test_each_number_of_the_health_message_has_a_column(centre):
    said = centre.rows(
        "select column_name as name, data_type as type from information_schema.columns "
        "where table_schema = 'centre' and table_name = 'health'"
    )
    types = {row["name"]: row["type"] for row in said}
    wanted = {float: "double precision", int: "bigint", bool: "boolean"}
    for name, description in health.Health.model_fields.items():
        annotation = description.annotation
        kind = next((part for part in get_args(annotation) if part is not NoneType), annotation)
        if kind in wanted:
            assert types[name] == wanted[kind], name


def test_what_comes_again_is_filed_once(centre, kiosk):
    """Within a batch, in the next one, and in another after a restart."""
    first, second = kiosk.say(samples.SAMPLES[1]), kiosk.say(samples.SAMPLES[2])
    centre.hears(first, first, second)
    centre.hears(second)
    assert centre.value("select count(*) from centre.event") == 2
    row = centre.row("select duplicates, doubled, numbers::text from centre.kiosk")
    assert row == {"duplicates": 2, "doubled": 0, "numbers": "{[1,3)}"}


class TestRetained:
    """The broker says the newest state and settings again to each Telegraf that connects."""

    def test_a_copy_is_no_sign_of_life(self, centre, kiosk):
        birth = kiosk.say(a_birth())
        centre.at(NOW - timedelta(days=20))
        centre.hears(birth)
        centre.at(NOW)
        centre.hears(birth)
        row = centre.row("select state, unheard_s > 86400 * 19 as long from centre.fleet")
        assert row == {"state": "silent", "long": True}

    def test_it_is_known_however_old_it_is(self, centre, kiosk):
        """Ids of other messages are forgotten after 45 days."""
        said = [kiosk.say(data) for data in (a_health(), a_config(1), a_birth())]
        said.append(kiosk.say(a_birth(what="offline")))
        centre.at(NOW - timedelta(days=50))
        centre.hears(said)
        kept = "select state, state_since, doubled from centre.kiosk"
        before = centre.row(kept)
        centre.database.run("select centre.expire()")
        assert centre.value("select count(*) from centre.arrival") == 2
        centre.at(NOW)
        centre.hears(said[1], said[3])
        assert centre.row(kept) == before
        assert centre.value("select count(*) from centre.config") == 1

    def test_what_came_again_is_known_for_longer(self, centre, kiosk):
        first, second = kiosk.say(a_birth(1)), kiosk.say(a_birth(2))
        for days in (50, 20):
            centre.at(NOW - timedelta(days=days))
            centre.hears(first)
        centre.hears(second)
        centre.database.run("select centre.expire()")
        centre.hears(first)
        assert centre.value("select duplicates from centre.kiosk") == 2

    def test_a_copy_brings_no_forgotten_kiosk_back(self, centre, kiosk):
        birth = kiosk.say(a_birth())
        centre.hears(birth)
        centre.database.run("select centre.forget('baotou-017')")
        centre.hears(birth)
        assert centre.rows("select * from centre.kiosk") == []


HOSTILE = {
    "not JSON": b"{",
    "no text": b"\xff\xfe{}",
    "a zero byte": b'{"a":"\0"}',
    "nothing": b"",
    "a list": b"[1]",
    "too large": b'{"a":"' + b"x" * 70_000 + b'"}',
    "too deep": b"[" * 60_000 + b"]" * 60_000,
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_cannot_be_read_takes_nothing_along(centre, kiosk, payload):
    """The rest of the batch is filed, and what was refused can be looked at."""
    other = Kiosk("other-1")
    centre.hears(
        kiosk.say(samples.SAMPLES[1]),
        Said("kiosk/v1/other-1/up/health", payload, ""),
        other.say(samples.SAMPLES[2]),
    )
    assert centre.value("select count(*) from centre.event") == 2
    row = centre.row("select kiosk, topic, length(value) from centre.refused")
    assert (row["kiosk"], row["topic"]) == ("other-1", "health")
    assert row["length"] <= 2000


CHANGES = {
    "another's source": ({"source": "/kiosk/other-1"}, "source"),
    "another type": ({"type": "kiosk.receipt.v1"}, "type"),
    "a newer version": ({"type": "kiosk.health.v2"}, "type"),
    "no number": ({"sequence": None}, "not a message"),
    "number 0": ({"sequence": 0}, "not a message"),
    "a number beyond all": ({"sequence": 2**60}, "not a message"),
    "a text as number": ({"sequence": "x"}, "bigint"),
    "no id": ({"id": None}, "not-null"),
    "no UUID": ({"id": "x"}, "uuid"),
    "no time": ({"time": "infinity"}, "not a message"),
    "a day that is none": ({"time": "2026-02-30T00:00:00Z"}, "out of range"),
    "a text as value": ({"data": {"cpu_percent": "much"}}, "double precision"),
    "U+0000 in a text": ({"data": {"cause": "\0"}}, "Unicode"),
    "no data": ({"data": []}, "not a message"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_wrong_is_refused_with_a_reason(centre, kiosk, change, reason):
    """And leaves no trace in the numbers that arrived."""
    said = kiosk.say(a_health())
    wrong = json.dumps(json.loads(said.payload) | change).encode()
    centre.hears(replace(said, payload=wrong))
    (said_why,) = refused(centre)
    assert reason in said_why
    assert centre.rows("select * from centre.kiosk") == []


def test_numbers_beyond_all_sense_break_no_view(centre, kiosk):
    """One kiosk that lies must not take the sight of all others."""
    centre.hears(Kiosk("other-1").say(a_health()), kiosk.say(a_health()))
    kiosk.lose(3)
    lies = [a_gap(2, 2**62, 5), a_gap(9, 4, 1), a_birth(1, 2**62)]
    centre.hears(kiosk.say(data) for data in lies)
    assert refused(centre) == ["not a message of a kiosk"] * 3
    centre.hears(kiosk.say(a_gap(2, 3, 2**62 + number)) for number in range(3))
    centre.hears(kiosk.say(a_birth(2**62, 2**53 - 1)))
    assert len(centre.rows("select * from centre.fleet")) == 2
    assert centre.value("select missing - unexplained from centre.loss where missing > 0") == 2


SENSELESS = {
    "no number": {"duration_s": "NaN"},
    "endless": {"duration_s": "-Infinity"},
    "too large for a sum": {"duration_s": 1.7e308},
    "the same as a text": {"duration_s": " 1.7e308"},
    "digits": {"duration_s": "1" * 300},
    "no time": {"raised": "infinity"},
}


@pytest.mark.parametrize("change", SENSELESS.values(), ids=SENSELESS.keys())
def test_a_value_that_would_break_a_sum_is_refused(centre, kiosk, change):
    raised, cleared = an_alarm()
    for other in (Kiosk("other-1"), Kiosk("other-2")):
        centre.hears(other.say(raised), other.say(cleared))
    centre.hears(kiosk.say(raised), changed(kiosk.say(cleared), change))
    assert refused(centre) == ["a number or a time beyond all sense"]
    assert centre.value("select sum(duration_s) from centre.alarms where not open") == 120


def test_numbers_that_are_only_large_are_filed(centre, kiosk):
    """And a text that begins like one."""
    told = {"disk_free_bytes": 2**62, "cause": "infinite", "network_interface": "0x1"}
    centre.hears(changed(kiosk.say(a_health()), told))
    assert centre.value("select disk_free_bytes from centre.health") == 2**62


def test_a_time_before_all_times_is_refused(centre, kiosk):
    centre.hears(changed(kiosk.say(a_health()), time="4712-01-01T00:00:00 BC"))
    assert refused(centre) == ["not a message of a kiosk"]


def test_one_writer_at_a_time_and_nobody_else_can_make_it_wait(centre):
    """The lock is on a table that only the owner has rights to."""
    held = "select locktype, mode from pg_locks where locktype = 'advisory' or "
    held += "relation = 'centre.envelope'::regclass and mode = 'ExclusiveLock'"
    filing = ("begin", "insert into centre.inbox default values", held, "commit")
    assert centre.database.run(*filing, user="telegraf") == "relation|ExclusiveLock\n"
    for user in ("telegraf", "grafana", "chief"):
        with pytest.raises(SqlError, match="permission denied"):
            centre.database.run(
                "begin", "lock table centre.envelope in access share mode", user=user
            )


def test_a_reason_for_the_reader_says_nothing_of_the_content(centre, kiosk):
    (plate,) = (data for data in samples.SAMPLES if isinstance(data, plates.PlateRead))
    for secret in ("蒙BK2345", 'a "蒙BK" 2345', '"蒙BK2345' * 100):
        centre.hears(changed(kiosk.say(plate), {"min_confidence": secret}))
    said = centre.database.rows("select reason from centre.unread", "grafana")
    assert {row["reason"] for row in said} == {
        'invalid input syntax for type double precision: "..."'
    }
    assert all("蒙BK" in reason for reason in refused(centre))


def test_a_topic_of_nobody_is_refused(centre, kiosk):
    said = kiosk.say(a_health())
    centre.hears(replace(said, topic="kiosk/v1/baotou-017/up/media/x"))
    centre.hears(replace(said, topic="kiosk/v1/baotou-017/up/other"))
    assert refused(centre) == ["the topic is not one of a kiosk"] * 2


def test_text_that_came_without_base64_is_read_too(centre, kiosk):
    """``data_type = "string"`` in telegraf.conf works as well."""
    said = kiosk.say(a_health())
    centre.database.run(
        "copy centre.inbox (time, kiosk, kind, value) from stdin",
        user="telegraf",
        stdin=b"2026-11-01\tbaotou-017\thealth\t" + said.payload + b"\n",
    )
    assert centre.value("select count(*) from centre.health") == 1


def test_a_full_disk_is_not_a_fault_of_the_message(centre, kiosk):
    """Then the copy fails, and Telegraf keeps the batch."""
    centre.database.run(
        "create function centre.full() returns trigger language plpgsql as "
        "$$ begin raise disk_full; end $$",
        "create trigger disk_full before insert on centre.health "
        "for each row execute function centre.full()",
    )
    try:
        with pytest.raises(SqlError, match="53100"):
            centre.hears(kiosk.say(a_health()))
    finally:
        centre.database.run("drop function centre.full() cascade")
    assert refused(centre) == []


class TestLoss:
    def test_a_number_that_stays_away_is_missing(self, centre, kiosk):
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(3)
        centre.hears(kiosk.say(a_health()))
        hole = centre.row("select * from centre.hole")
        assert (hole["first_sequence"], hole["last_sequence"], hole["count"]) == (2, 4, 3)
        loss = centre.row("select missing, admitted, unexplained, verdict from centre.loss")
        assert loss == {"missing": 3, "admitted": 0, "unexplained": 3, "verdict": "missing"}

    def test_what_comes_late_fills_the_hole(self, centre, kiosk):
        backlog = [kiosk.say(a_health()) for _ in range(5)]
        centre.hears(kiosk.say(a_health()), backlog[0], backlog[4])
        assert centre.value("select missing from centre.loss") == 3
        centre.hears(backlog[2], backlog[3], backlog[1])
        loss = centre.row("select missing, verdict from centre.loss")
        assert loss == {"missing": 0, "verdict": "complete"}

    def test_the_last_numbers_are_missed_too(self, centre, kiosk):
        """The next birth says how far the kiosk had come."""
        centre.hears(kiosk.say(a_health()), kiosk.say(a_birth(last=4)))
        hole = centre.row("select first_sequence, last_sequence from centre.hole")
        assert hole == {"first_sequence": 2, "last_sequence": 4}

    def test_what_the_kiosk_still_holds_is_on_the_way(self, centre, kiosk):
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(3)
        centre.hears(kiosk.say(a_health(outbox_rows=3)))
        assert centre.value("select verdict from centre.loss") == "on the way"

    def test_admitted_losses_of_two_classes_add_up(self, centre, kiosk):
        """Numbers 2 to 8 are lost, and each class says its own; one stays unexplained."""
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(7)
        told = [kiosk.say(a_gap(2, 8, 4)), kiosk.say(a_gap(3, 6, 2, "event"))]
        centre.hears(told)
        loss = centre.row("select missing, admitted, unexplained, verdict from centre.loss")
        assert loss == {"missing": 7, "admitted": 6, "unexplained": 1, "verdict": "missing"}
        centre.hears(kiosk.say(a_gap(7, 7, 1, "receipt")))
        assert centre.value("select verdict from centre.loss") == "admitted"

    def test_a_gap_excuses_only_its_own_range(self, centre, kiosk):
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(2)
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(1)
        centre.hears(kiosk.say(a_gap(5, 5, 3)))
        assert centre.row("select missing, unexplained from centre.loss") == {
            "missing": 3,
            "unexplained": 2,
        }
        spoken = centre.rows("select spoken_of from centre.hole order by first_sequence")
        assert [row["spoken_of"] for row in spoken] == [False, True]

    def test_a_gap_without_a_count_excuses_all_of_its_range(self, centre, kiosk):
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(9)
        centre.hears(kiosk.say(a_gap(2, 10, None, "unknown")))
        loss = centre.row("select missing, unexplained, verdict from centre.loss")
        assert loss == {"missing": 9, "unexplained": 0, "verdict": "admitted"}

    def test_settled_losses_are_closed(self, centre, kiosk):
        centre.hears(kiosk.say(a_health()))
        kiosk.lose(5)
        centre.hears(kiosk.say(a_gap(2, 3, 2)))
        assert centre.value("select centre.settle('baotou-017')") == 5
        kiosk.lose(1)
        centre.hears(kiosk.say(a_health()))
        loss = centre.row("select missing, unexplained, settled from centre.loss")
        assert loss == {"missing": 1, "unexplained": 1, "settled": 5}

    def test_very_many_holes_are_closed_but_for_the_newest(self, centre, kiosk):
        """One kiosk that leaves out numbers must not make filing slow for all."""
        centre.hears(kiosk.say(a_health()))
        centre.database.run(
            "update centre.kiosk set numbers = "
            "(select range_agg(int8range(2 * n, 2 * n + 1)) from generate_series(1, 5000) n)"
        )
        centre.hears(kiosk.say(a_gap(3, 5, 2), number=10_002))
        centre.hears(kiosk.say(a_gap(9_999, 10_001, 2), number=10_004))
        row = centre.row("select missing, settled, missing + settled as all from centre.loss")
        assert row == {"missing": 500, "settled": 4501, "all": 5001}
        gaps = centre.rows("select first_sequence, settled from centre.gap order by 1")
        assert [row["settled"] for row in gaps] == [True, False]

    def test_another_box_under_the_same_name_loses_nothing(self, centre):
        """Its numbers begin anew: that is noticed, all is filed, and a word sets it right."""
        old, new = Kiosk(), Kiosk()
        centre.hears(old.say(a_health()) for _ in range(3))
        centre.hears(new.say(a_health()))
        assert centre.value("select doubled from centre.loss") == 1
        centre.database.run("select centre.replaced('baotou-017')")
        new.lose(1)
        centre.hears(new.say(a_birth(1)), new.say(a_health(cpu_percent=5.0)))
        new.lose(1)
        centre.hears(new.say(a_health(cpu_percent=7.0)))
        assert centre.value("select count(*) from centre.health") == 6
        row = centre.row("select missing, doubled from centre.loss")
        assert row == {"missing": 1, "doubled": 0}
        assert centre.row("select state, cpu_percent from centre.fleet") == {
            "state": "online",
            "cpu_percent": 7.0,
        }


class TestForgotten:
    def test_it_is_gone_from_what_is_now(self, centre, kiosk):
        raised, _cleared = an_alarm()
        centre.hears(kiosk.say(a_birth(5)), kiosk.say(raised), kiosk.say(a_gap(1, 1, 1)))
        centre.database.run("select centre.forget('baotou-017')")
        assert centre.rows("select * from centre.fleet") == []
        assert centre.value("select open from centre.alarms") is False
        assert centre.rows("select * from centre.gap") == []

    def test_a_new_one_of_this_name_has_nothing_of_it(self, centre, kiosk):
        centre.at(NOW - timedelta(days=1))
        kiosk.lose(100)
        centre.hears(kiosk.say(a_health(cpu_percent=99.0)), kiosk.say(a_config(9)))
        centre.hears(kiosk.say(a_gap(2, 4, 3)), kiosk.say(a_birth(8)))
        centre.database.run("select centre.forget('baotou-017')")
        new = Kiosk()
        centre.at(NOW)
        centre.hears(new.say(a_birth(1)), new.say(a_health(cpu_percent=5.0)), new.say(a_config(1)))
        new.lose(1)
        centre.hears(new.say(a_health(cpu_percent=5.0)))
        asked = "select state, cpu_percent, config_version, numbers_missing from centre.fleet"
        assert list(centre.row(asked).values()) == ["online", 5, 1, 1]

    def test_its_newest_state_goes_when_it_is_old(self, centre, kiosk):
        centre.at(NOW - timedelta(days=1000))
        centre.hears(kiosk.say(a_birth()), kiosk.say(a_config(1)))
        centre.database.run("select centre.forget('baotou-017')", "select centre.expire()")
        for what in ("state", "config", "arrival"):
            assert centre.value(f"select count(*) from centre.{what}") == 0


class TestAlarms:
    def raised(self, code="disk.full", severity="major", at=samples.TIME):
        alarm_id = uuid7(1_790_000_000_000)
        data = events.AlarmRaised(
            alarm_id=alarm_id, code=code, severity=severity, text="full", value=91.0
        )
        active = health.ActiveAlarm(
            alarm_id=alarm_id, code=code, severity=severity, raised=at, text="full"
        )
        return data, active

    def test_one_is_open_until_it_is_cleared(self, centre, kiosk):
        data, active = self.raised()
        centre.hears(kiosk.say(data), kiosk.say(a_health(alarms=(active,))))
        assert centre.value("select open from centre.alarms") is True
        cleared = events.AlarmCleared(
            alarm_id=data.alarm_id,
            code=data.code,
            severity=data.severity,
            raised=samples.TIME,
            duration_s=60.0,
        )
        centre.hears(kiosk.say(cleared, samples.TIME + timedelta(seconds=60)))
        row = centre.row("select open, duration_s from centre.alarms")
        assert row == {"open": False, "duration_s": 60}

    def test_one_that_a_restart_forgot_is_over(self, centre, kiosk):
        data, _active = self.raised()
        older = kiosk.say(a_health())
        centre.hears(kiosk.say(data), older)
        assert centre.value("select open from centre.alarms") is True, "older than the alarm"
        centre.hears(kiosk.say(a_health()))
        row = "select open, duration_s from centre.alarms"
        assert centre.row(row) == {"open": False, "duration_s": None}
        centre.database.run("select * from centre.expire()")
        assert centre.value("select closed from centre.alarm") is True
        assert centre.row(row) == {"open": False, "duration_s": None}

    def test_one_that_was_cleared_before_it_was_heard_of_is_over(self, centre, kiosk):
        """Two Telegrafs overtake each other."""
        data, _active = self.raised()
        raised = kiosk.say(data)
        cleared = events.AlarmCleared(
            alarm_id=data.alarm_id,
            code=data.code,
            severity=data.severity,
            raised=samples.TIME,
            duration_s=60.0,
        )
        centre.hears(kiosk.say(cleared), raised)
        assert centre.row("select open, duration_s from centre.alarms") == {
            "open": False,
            "duration_s": 60,
        }

    def test_each_is_one_row_however_often_it_is_said(self, centre, kiosk):
        raised, cleared = an_alarm()
        centre.hears(kiosk.say(data) for _ in range(5) for data in (raised, cleared))
        row = centre.row("select count(*), sum(duration_s) from centre.alarms where not open")
        assert row == {"count": 1, "sum": 60}
        assert centre.value("select count(*) from centre.alarms") == 1

    def test_those_of_a_box_that_was_replaced_are_over(self, centre):
        old, new = Kiosk(), Kiosk()
        old.lose(1000)
        raised, _cleared = an_alarm()
        centre.hears(old.say(raised))
        centre.database.run("select centre.replaced('baotou-017')")
        centre.hears(new.say(a_birth()), new.say(a_health()))
        assert centre.value("select open from centre.alarms") is False
        assert centre.value("select alarms_open from centre.fleet") == 0

    def test_the_worst_stands_in_the_fleet(self, centre, kiosk):
        data = [self.raised("a", "warning")[0], self.raised("b", "critical")[0]]
        centre.hears(kiosk.say(item) for item in data)
        row = centre.row("select alarms_open, worst_alarm from centre.fleet")
        assert row == {"alarms_open": 2, "worst_alarm": "critical"}


class TestCommands:
    def test_one_runs_and_ends(self, centre, kiosk):
        steps = ["accepted", "running"]
        centre.hears(kiosk.say(a_receipt(status, percent=20.0)) for status in steps)
        row = centre.row("select status, open, percent, took_s from centre.commands")
        assert row == {"status": "running", "open": True, "percent": 20, "took_s": None}
        end = a_receipt("failed", code="timed_out", text="too long", signers=("li",))
        centre.hears(kiosk.say(end, samples.TIME + timedelta(seconds=9)))
        row = centre.row("select status, code, text, signers, open, took_s from centre.commands")
        assert row == {
            "status": "failed",
            "code": "timed_out",
            "text": "too long",
            "signers": ["li"],
            "open": False,
            "took_s": 9,
        }

    def test_order_of_arrival_and_repeats_change_nothing(self, centre, kiosk):
        """Two Telegrafs overtake each other; a repeated command gets its last receipt again."""
        first, last = kiosk.say(a_receipt("accepted")), kiosk.say(a_receipt("succeeded"))
        again = kiosk.say(a_receipt("succeeded"), samples.TIME + timedelta(hours=1))
        centre.hears(again, last, first)
        row = centre.row("select status, took_s from centre.commands")
        assert row == {"status": "succeeded", "took_s": 0}

    def test_what_nobody_vouched_for_is_no_command(self, centre, kiosk):
        refusal = receipt.Receipt(claimed_id=samples.ID, status="rejected", code="unknown_key")
        centre.hears(kiosk.say(refusal))
        assert centre.rows("select * from centre.commands") == []
        assert centre.value("select code from centre.refusals") == "unknown_key"

    def test_names_of_staff_are_not_kept(self, centre, kiosk):
        """identity.list ties enrolments to names: that stays with who asked."""
        said = receipt.Receipt(
            command_id=samples.ID,
            action="identity.list",
            status="succeeded",
            result={"persons": [{"name": "Wang Lei"}]},
        )
        centre.hears(kiosk.say(said))
        assert "Wang" not in str(centre.rows("select * from centre.receipt"))


class TestState:
    def test_a_late_will_says_nothing(self, centre, kiosk):
        will = kiosk.say(a_birth(6, what="offline"))
        centre.hears(kiosk.say(a_birth(7)), will)
        assert centre.value("select state from centre.kiosk") == "online"
        assert centre.value("select late from centre.state where state = 'offline'") is True
        centre.hears(kiosk.say(a_birth(7, what="offline")))
        assert centre.value("select state from centre.fleet") == "offline"

    def test_what_was_said_before_the_newest_says_nothing(self, centre, kiosk):
        """After an outage Telegraf gets the retained birth first, and then all since the outage."""
        said = {}
        for minute, (session, what) in enumerate(
            [(6, "online"), (6, "stopping"), (7, "online"), (7, "offline"), (8, "online")]
        ):
            at = NOW - timedelta(minutes=50 - minute)
            said[session, what] = kiosk.say(a_birth(session, what=what), at)
        newest = said[8, "online"]
        centre.hears(said[6, "online"])
        centre.hears(newest, said[6, "stopping"], said[7, "online"], said[7, "offline"], newest)
        row = centre.row("select state, session from centre.kiosk")
        assert row == {"state": "online", "session": 8}
        assert centre.value("select count(*) from centre.state where late") == 3

    @pytest.mark.parametrize("end", ["stopping", "offline"])
    def test_the_end_of_a_connection_stays_its_end(self, centre, kiosk, end):
        """Where the end is what the broker retains; a will is older than its birth."""
        birth, last = kiosk.say(a_birth(8), NOW), kiosk.say(a_birth(8, what=end), samples.TIME)
        centre.hears(last, birth, last)
        assert centre.value("select state from centre.fleet") == end

    def test_an_older_one_is_known_by_its_boot_too(self, centre, kiosk):
        """Its clock was ahead then, and is right now."""
        older = kiosk.say(a_birth(7), NOW + timedelta(hours=8))
        newest = changed(kiosk.say(a_birth(8), NOW), monotonicms=2000)
        centre.hears(newest, older)
        assert centre.value("select session from centre.kiosk") == 8

    def test_a_new_box_is_believed(self, centre, kiosk):
        """It counts from 1 again, and nobody has said that the box was replaced."""
        centre.hears(kiosk.say(a_birth(8, what="offline"), NOW - timedelta(days=1)))
        new = Kiosk()
        centre.hears(new.say(a_birth(1, agent_version="2"), NOW))
        row = centre.row("select state, session, agent_version from centre.kiosk")
        assert row == {"state": "online", "session": 1, "agent_version": "2"}

    def test_settings_are_those_that_were_said_last(self, centre, kiosk):
        second, third = kiosk.say(a_config(2)), kiosk.say(a_config(3))
        centre.hears(third, second, third)
        assert centre.value("select config_version from centre.fleet") == 3
        centre.database.run("select centre.replaced('baotou-017')")
        centre.hears(Kiosk().say(a_config(1)))
        assert centre.value("select config_version from centre.fleet") == 1

    def test_what_holds_now_stays_however_old_it_is(self, centre, kiosk):
        """And not what came after it, but was said before."""
        states = [kiosk.say(a_birth(session)) for session in (7, 8)]
        settings = [kiosk.say(a_config(version)) for version in (2, 3)]
        centre.at(NOW - timedelta(days=1000))
        centre.hears(reversed(states), reversed(settings))
        centre.database.run("select centre.expire()")
        assert centre.value("select session from centre.state") == 8
        assert centre.value("select version from centre.config") == 3

    def test_one_that_says_nothing_is_silent(self, centre, kiosk):
        centre.at(NOW - timedelta(minutes=16))
        centre.hears(kiosk.say(a_birth()))
        assert centre.value("select state from centre.fleet") == "silent"
        centre.at(NOW)
        centre.hears(kiosk.say(a_health()))
        assert centre.value("select state from centre.fleet") == "online"

    def test_days_are_divided_by_what_was_told(self, centre, kiosk):
        """Days begin at midnight in Shanghai, as the database's time zone says."""
        midnight = datetime(2026, 10, 1, 16, tzinfo=UTC)  # 2 October, 00:00

        def hours(number):
            return midnight + timedelta(hours=number)

        for hour, session, what in [
            (-12, 1, "online"),
            (6, 1, "offline"),
            (12, 2, "online"),
            (13, 1, "offline"),  # late
            (30, 2, "stopping"),
            (36, 3, "online"),
        ]:
            centre.at(hours(hour))
            centre.hears(kiosk.say(a_birth(session, what=what), hours(min(hour, 30))))
        until = hours(48).isoformat()
        query = f"select * from centre.availability('{hours(0)}', '{until}') order by day"
        days = [
            (row["day"], round(row["online_s"]), round(row["known_s"]))
            for row in centre.rows(query)
        ]
        # The last birth is dated when its line came up: six hours before it was heard of.
        assert days == [
            ("2026-10-02", 18 * 3600, 24 * 3600),
            ("2026-10-03", 24 * 3600, 24 * 3600),
        ]
        assert round(centre.rows(query)[0]["percent"], 3) == 75

    def test_the_fleet_at_one_look(self, centre, kiosk):
        centre.hears(kiosk.say(data) for data in samples.SAMPLES)
        row = centre.row("select * from centre.fleet")
        assert (row["state"], row["agent_version"], row["config_version"]) == ("online", "0.1.0", 3)
        assert (row["cpu_percent"], row["outbox_rows"], row["cameras_lost"]) == (7, 7, 0)
        assert row["numbers_missing"] == 1234 - (len(samples.SAMPLES) - 1)


def test_a_finding_is_one_row(centre, kiosk):
    facts = {"finding_id": samples.ID, "rule": "counter_unattended", "begun": samples.TIME}
    begin = identity.SupervisionFinding(phase="begin", text="nobody is there", **facts)
    end = identity.SupervisionFinding(phase="end", text="somebody is", duration_s=9.0, **facts)
    centre.hears(kiosk.say(begin))
    assert centre.value("select open from centre.findings") is True
    centre.hears(kiosk.say(end))
    row = centre.row("select open, text, duration_s from centre.findings")
    assert row == {"open": False, "text": "somebody is", "duration_s": 9}


class TestRights:
    @pytest.fixture(autouse=True)
    def full(self, centre, kiosk):
        centre.hears(kiosk.say(data) for data in samples.SAMPLES)

    def tables(self, centre, user=None):
        """All tables and views, or those that a user may read."""
        query = "select relname as name from pg_class where relkind in ('r', 'v') "
        query += "and relnamespace = 'centre'::regnamespace"
        if user is not None:
            query += f" and has_table_privilege('{user}', oid, 'select')"
        return {row["name"] for row in centre.rows(query)}

    def test_who_writes_reads_nothing(self, centre):
        assert self.tables(centre, "telegraf") == set()
        for statement in ("delete from centre.inbox", "truncate centre.inbox"):
            with pytest.raises(SqlError, match="permission denied"):
                centre.database.run(statement, user="telegraf")

    def test_the_reader_sees_no_person(self, centre):
        """Whatever it may look at, it finds no pseudonym, enrolment, plate or name in it."""
        seen = self.tables(centre, "grafana")
        hidden = {
            "plate",
            "person",
            "finding",
            "receipt",
            "refused",
            "arrival",
            "inbox",
            "envelope",
        }
        assert self.tables(centre) - seen == hidden
        said = str(
            [centre.database.rows(f"select * from centre.{name}", "grafana") for name in seen]
        )
        for secret in ("蒙BK", "0123456789abcdef", "licence.renew/", "abcdefghijklmnopqrstuv"):
            assert secret not in said

    def test_the_supervisor_sees_persons_too(self, centre):
        assert {"plate", "person", "finding", "fleet"} <= self.tables(centre, "chief")

    @pytest.mark.parametrize("user", ["grafana", "chief"])
    def test_who_looks_changes_nothing(self, centre, user):
        for statement in (
            "update centre.retention set keep = null",
            "insert into centre.inbox default values",
            "select centre.expire()",
            "select centre.settle('baotou-017')",
            "select centre.replaced('baotou-017')",
            "select centre.forget('baotou-017')",
            "create table centre.mine ()",
        ):
            with pytest.raises(SqlError, match="permission denied"):
                centre.database.run(statement, user=user)


def test_what_is_old_goes(centre, kiosk):
    """By the centre's clock, whatever time the kiosk thought it was; the newest state stays."""
    everything = [kiosk.say(data) for data in samples.SAMPLES]
    centre.at(NOW - timedelta(days=1000))
    centre.hears(everything)
    centre.at(NOW)
    fresh = Kiosk("new-1")
    centre.hears(fresh.say(data, datetime(1970, 1, 1, tzinfo=UTC)) for data in samples.SAMPLES)
    done = {row["what"]: row["rows"] for row in centre.rows("select * from centre.expire()")}
    assert done["plate"] == 2
    assert (done["health"], done["alarm"], done["state"], done["config"]) == (1, 2, 0, 0)
    kept = "select count(*) from centre.{} where kiosk = 'baotou-017'"
    left = {
        what: centre.value(kept.format(what))
        for what in ("health", "event", "plate", "person", "receipt", "alarm", "gap", "state")
    }
    assert {what for what, number in left.items() if number} == {"gap", "state"}
    assert centre.value("select count(*) from centre.plate") == 2


def test_an_admitted_loss_is_settled_in_the_end(centre, kiosk):
    """So that the numbers of a kiosk with many holes do not grow for ever."""
    centre.at(NOW - timedelta(days=40))
    centre.hears(kiosk.say(a_health()))
    kiosk.lose(5)
    centre.hears(kiosk.say(a_gap(2, 6, 5)))
    centre.database.run("select * from centre.expire()")
    row = centre.row("select settled, missing, centre.size(k.numbers) from centre.loss "
                     "join centre.kiosk k using (kiosk, settled)")  # fmt: skip
    assert row == {"settled": 5, "missing": 0, "size": 7}


def test_admitted_losses_are_kept_until_they_are_settled(centre, kiosk):
    centre.at(NOW - timedelta(days=1000))
    centre.hears(kiosk.say(a_health()))
    kiosk.lose(5)
    centre.hears(kiosk.say(a_gap(2, 3, 2)))
    centre.database.run("select centre.expire()")
    assert centre.value("select count(*) from centre.gap") == 1
    centre.database.run("select centre.settle('baotou-017')", "select centre.expire()")
    assert centre.value("select count(*) from centre.gap") == 0
