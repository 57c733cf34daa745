"""A real PostgreSQL for tests: a cluster of its own, on a Unix socket only."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

CENTRE = Path(__file__).parents[2] / "deploy" / "centre"
_PORT = "5432"  # names the socket; there is no TCP


def _find_programs() -> Path:
    """Return the folder of ``initdb``, or skip the test."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    if found:
        return found[-1].parent
    other = shutil.which("initdb")
    if other is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return Path(other).parent


class Postgres:
    """A cluster in a temporary folder; everybody who reaches the socket may be anybody."""

    def __init__(self) -> None:
        self._programs = _find_programs()
        # It refuses to run as root; pytest's own folders are root's alone.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            try:
                pwd.getpwnam(self._user)
            except KeyError:
                self._user = "nobody"
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._data = str(self.folder / "data")

    def __enter__(self) -> Self:
        self._run(
            "initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Return when it takes connections."""
        options = (
            f"-p {_PORT} -k {self.folder} -c listen_addresses='' -c fsync=off -c jit=off "
            "-c autovacuum=off -c shared_buffers=16MB -c timezone=Asia/Shanghai"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", self._data, "-o", options, "-l", log, "-w", "-s", "start")

    def stop(self) -> None:
        """End it as a crash does."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "-s", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def database(self, name: str) -> "Database":
        """Make a database."""
        Database(self, "postgres").run(f"create database {name}")
        return Database(self, name)


class SqlError(Exception):
    """What PostgreSQL said against a statement."""


class Database:
    """One database; ``psql`` is the client."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server = server
        self.name = name

    def run(self, *statements: str, user: str = "postgres", stdin: bytes | None = None) -> str:
        """Do them in one connection; returns what they printed.

        Raises:
            SqlError: one of them failed.
        """
        commands = [word for statement in statements for word in ("-c", statement)]
        return self._psql(commands, user, stdin)

    def apply(self, path: Path) -> None:
        """Do what stands in a file."""
        self._psql(["-f", str(path)], "postgres", None)

    def rows(self, query: str, user: str = "postgres") -> list[dict[str, Any]]:
        """Return the answer to a query."""
        wrapped = f"select coalesce(json_agg(q), '[]') from ({query}) q"
        answer: list[dict[str, Any]] = json.loads(self.run(wrapped, user=user))
        return answer

    def row(self, query: str, user: str = "postgres") -> dict[str, Any]:
        """Return the only row of an answer."""
        (row,) = self.rows(query, user)
        return row

    def value(self, query: str, user: str = "postgres") -> Any:
        """Return the only value of an answer."""
        (value,) = self.row(query, user).values()
        return value

    def _psql(self, words: list[str], user: str, stdin: bytes | None) -> str:
        command = [
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose",
            "-h", str(self.server.folder), "-p", _PORT, "-U", user, "-d", self.name, *words,
        ]  # fmt: skip
        done = subprocess.run(command, input=stdin or b"", capture_output=True, check=False)
        if done.returncode:
            raise SqlError(done.stderr.decode())
        return done.stdout.decode()
