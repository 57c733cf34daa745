"""The centre's database in tests, and kiosks that say things to it as Telegraf writes them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from contract import Data, seal
from contract.stamp import Stamp
from tests.support import samples, telegraf
from tests.support.postgres import CENTRE, Database, Postgres

CONFIG = (CENTRE / "telegraf.conf").read_text(encoding="utf-8")
_LOGINS = (("telegraf", "kiosk_writer"), ("grafana", "kiosk_reader"), ("chief", "kiosk_supervisor"))


@contextmanager
def centre_database() -> Iterator[Database]:
    """Run PostgreSQL with the schema, and the logins that docs/centre.md makes."""
    with Postgres() as server:
        database = server.database("centre")
        database.apply(CENTRE / "schema.sql")
        for name, role in _LOGINS:
            database.run(f"create role {name} login in role {role}")
        yield database


@dataclass(frozen=True, slots=True)
class Said:
    """A message as it comes from the broker."""

    topic: str
    payload: bytes
    id: str


@dataclass
class Kiosk:
    """Numbers and wraps what it says, as an outbox does."""

    name: str = "baotou-017"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def say(self, data: Data, at: datetime = samples.TIME, *, number: int | None = None) -> Said:
        """Make a message; ``up/state`` has no number."""
        if number is None and data.TYPE != "kiosk.state.v1":
            number = next(self._numbers)
        stamp = Stamp(time=at, monotonic_ms=1000, boot_id="boot", time_quality="synced")
        sealed = seal(data, kiosk=self.name, stamp=stamp, sequence=number)
        return Said(f"kiosk/v1/{self.name}/{data.SUFFIX}", sealed.payload, sealed.id)

    def lose(self, how_many: int) -> None:
        """Give out numbers whose messages never arrive."""
        for _ in range(how_many):
            next(self._numbers)


class Centre:
    """The database behind the writing half of Telegraf."""

    def __init__(self, database: Database) -> None:
        self.database = database
        settings = telegraf.read(CONFIG)
        self._input = settings["inputs"]["mqtt_consumer"][0]
        self._output = telegraf.Output(settings["outputs"]["postgresql"][0], database)
        self._clock: datetime | None = None
        self._tables = database.rows(
            "select tablename as name from pg_tables "
            "where schemaname = 'centre' and tablename <> 'retention'"
        )

    def clear(self) -> None:
        """Forget everything."""
        self._clock = None
        self.database.run("".join(f"delete from centre.{row['name']};" for row in self._tables))

    def at(self, moment: datetime) -> None:
        """Let what comes from now on come at this time."""
        self._clock = moment

    def hears(self, *messages: Said | Iterable[Said]) -> None:
        """Take messages in, as one batch."""
        batch = []
        for item in messages:
            for said in [item] if isinstance(item, Said) else item:
                metric = telegraf.metric(self._input, said.topic, said.payload)
                if self._clock is not None:
                    self._clock += timedelta(microseconds=1)
                    metric = telegraf.Metric(metric.name, self._clock, metric.tags, metric.fields)
                batch.append(metric)
        self._output.write(batch)

    def row(self, query: str) -> dict[str, Any]:
        return self.database.row(query)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.database.rows(query)

    def value(self, query: str) -> Any:
        return self.database.value(query)
