"""The shipped dashboards: each query of each panel, asked as Grafana asks it."""

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from contract import events, health, identity, receipt, state
from contract.ids import uuid7
from tests.support import samples
from tests.support.centre_database import Centre, Kiosk, centre_database
from tests.support.postgres import CENTRE

FOLDER = CENTRE / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((FOLDER / "dashboards").glob("*.json"))
}
PROVISIONED = (FOLDER / "provisioning/datasources/kiosk-centre.yaml").read_text(encoding="utf-8")
NOW = datetime.now(UTC)
# The suite may take its time before it comes to this file.
SINCE, UNTIL = NOW - timedelta(days=7), NOW + timedelta(hours=3)

# What Grafana makes of its macros (its PostgreSQL plugin, macros.go).
_MACROS = (
    (r"\$__timeFilter\((.+?)\)", rf"\1 BETWEEN '{SINCE.isoformat()}' AND '{UNTIL.isoformat()}'"),
    (r"\$__timeFrom\(\)", f"'{SINCE.isoformat()}'"),
    (r"\$__timeTo\(\)", f"'{UNTIL.isoformat()}'"),
    (
        r"\$__timeGroupAlias\((\w+), *(?:\$__interval|'1d')\)",
        r'floor(extract(epoch from \1)/3600)*3600 AS "time"',
    ),
    (r"\$\{kiosk:sqlstring\}", "'baotou-017'"),
)


def panels(name):
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def asked(panel):
    """The query of a panel, as it reaches the database."""
    (target,) = panel["targets"]
    query = target["rawSql"]
    for macro, meaning in _MACROS:
        query = re.sub(macro, meaning, query)
    assert "$" not in query, f"a macro that the test does not know: {query}"
    return query


@pytest.fixture(scope="module")
def centre():
    """A week's life of two kiosks, with one of everything."""
    with centre_database() as database:
        centre = Centre(database)
        one, other = Kiosk(), Kiosk("other-1")
        alarm = {"alarm_id": uuid7(1), "code": "disk.full", "severity": "major", "text": "91 %"}
        sick = health.Health(
            cause="interval",
            agent_uptime_s=1,
            agent_loop_lag_ms=1.0,
            alarms=(health.ActiveAlarm(raised=NOW, **alarm),),
        )
        refusal = receipt.Receipt(claimed_id=samples.ID, status="rejected", code="malformed")
        birth = state.State(state="online", session=9, last_sequence=1)
        centre.hears(one.say(data, NOW - timedelta(hours=1)) for data in samples.SAMPLES[1:])
        running = receipt.Receipt(command_id=uuid7(2), action="ping", status="running")
        finding = identity.SupervisionFinding(
            finding_id=uuid7(3), rule="other_person", phase="begin", text="...", begun=NOW
        )
        centre.hears(one.say(data, NOW) for data in (birth, running, finding))
        one.lose(1)
        centre.hears(one.say(running, NOW))
        centre.hears(other.say(data, NOW) for data in (refusal, events.AlarmRaised(**alarm)))
        other.lose(7)
        centre.hears(other.say(sick, NOW))
        database.run("insert into centre.inbox (kiosk, kind) values ('other-1', 'health')")
        yield centre


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_has_an_answer(centre, name):
    """With the rights of the reader; a series has a time, values, and at most one name."""
    shown = panels(name)
    queries = [f"select coalesce(jsonb_agg(q), '[]') from ({asked(panel)}) q" for panel in shown]
    answers = centre.database.run(*queries, user="grafana").splitlines()
    for panel, answer in zip(shown, answers, strict=True):
        rows = json.loads(answer)
        assert rows, f"{panel['title']}: the week has something for each panel"
        if panel["targets"][0]["format"] == "time_series":
            assert {"time"} < rows[0].keys()
            texts = {column for column, value in rows[0].items() if isinstance(value, str)}
            assert texts <= {"time", "metric"}, panel["title"]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] in rows[0], panel["title"]


@pytest.mark.parametrize(
    ("dashboard", "title", "value"),
    [
        ("fleet", "Kiosks", 2),
        ("fleet", "Online", 1),
        ("fleet", "Offline", 1),
        ("alarms", "Major", 1),
        ("commands", "Rejected", 2),
        ("loss", "Refused", 1),
        ("loss", "Missing", 7),
        ("loss", "On the way", 1),
        ("kiosk", "State", "online"),
    ],
)
def test_the_numbers_are_right(centre, dashboard, title, value):
    panel = next(panel for panel in panels(dashboard) if panel["title"] == title)
    (answer,) = centre.database.row(asked(panel), user="grafana").values()
    assert answer == value


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_dashboard_is_in_order(name):
    """Numbers and places are given once, and the data source is the one that is provisioned."""
    dashboard = DASHBOARDS[name]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, (a, b)
    for source in re.findall(r'"datasource": (\{.*?\})', json.dumps(dashboard)):
        for key, value in json.loads(source).items():
            assert f"{key}: {value}\n" in PROVISIONED
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(re.findall(r"\$\{(\w+):sqlstring\}", json.dumps(dashboard))) == known


def test_links_lead_to_dashboards_that_are_there():
    uids = {dashboard["uid"] for dashboard in DASHBOARDS.values()}
    assert len(uids) == len(DASHBOARDS)
    assert set(re.findall(r"/d/([\w-]+)", json.dumps(DASHBOARDS))) <= uids
