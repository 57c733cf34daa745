"""The agent's log from afar: how much it says, and what it said."""

import asyncio
import gzip
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from commands.actions.log import log_fetch, log_level, pack
from commands.errors import ActionError
from commands.journal import Journal
from commands.log_level import LogLevel
from contract.actions import LogFetch
from contract.actions import LogLevel as LogLevelArguments
from contract.limits import MAX_MEDIA_BYTES
from tests.support.clock import ManualClock
from tests.support.invocations import COMMAND_ID, invocation


class Levels:
    """The levels that were in force, in their order."""

    def __init__(self):
        self.clock, self.set = ManualClock(), []
        self.usual = "info"
        self.level = LogLevel(set_level=self.set.append, usual=lambda: self.usual, clock=self.clock)
        self.action = log_level(self.level)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.level.run())
        await self.clock.settle()
        yield
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def command(self, level: str, for_s: int | None = None):
        arguments = LogLevelArguments(level=level, for_s=for_s)
        result = await self.action.run(arguments, invocation(arguments, self.clock.stamp()))
        await self.clock.settle()
        return result


async def test_a_level_for_a_time_goes_back_by_itself():
    """To the level of the settings as they are then."""
    levels = Levels()
    async with levels.running():
        assert await levels.command("debug", 60) == {"level": "debug", "for_s": 60}
        levels.usual = "warning"
        await levels.clock.advance(59)
        assert levels.set == ["debug"]
        await levels.clock.advance(2)
        assert levels.set == ["debug", "warning"]


async def test_a_level_without_a_time_stays():
    """Until the next change; and a later change ends an earlier lease."""
    levels = Levels()
    async with levels.running():
        await levels.command("debug", 60)
        await levels.clock.advance(10)
        assert await levels.command("error") == {"level": "error"}
        await levels.clock.advance(3600)
        assert levels.set == ["debug", "error"]


async def test_a_shorter_time_takes_the_place_of_a_longer():
    """The newest lease counts, whichever way."""
    levels = Levels()
    async with levels.running():
        await levels.command("debug", 3600)
        await levels.command("debug", 5)
        await levels.clock.advance(5)
        assert levels.set == ["debug", "debug", "info"]


@pytest.fixture
def journalctl(tmp_path):
    """Makes a program that stands in for journalctl: nothing runs a journal in a test."""

    def make(body: str) -> str:
        path = tmp_path / "journalctl"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


class Broker:
    """What was sent to it."""

    def __init__(self):
        self.sent: list[tuple[str, bytes, str]] = []

    async def send(self, *media):
        self.sent.append(media)

    @property
    def lines(self) -> list[str]:
        ((command_id, content, content_type),) = self.sent
        assert (command_id, content_type) == (COMMAND_ID, "application/gzip")
        return gzip.decompress(content).decode().splitlines()


async def fetch(journal: Journal, broker: Broker, **arguments):
    wanted = LogFetch(**arguments)
    action = log_fetch(journal, broker.send)
    return await action.run(wanted, invocation(wanted, ManualClock().stamp()))


async def test_the_units_lines_are_fetched(journalctl):
    """Asked for by unit, age and number, in a form that people read; sent as gzip."""
    journal = Journal(journalctl=journalctl('printf "%s\\n" "$*" "second line"'))
    broker = Broker()
    result = await fetch(journal, broker, since_s=60, lines=10)
    assert broker.lines == [
        "--quiet --no-pager --output=short-iso --since=-60s --lines=10 -u kiosk-agent",
        "second line",
    ]
    assert (result["lines"], result["lines_left_out"]) == (2, 0)
    assert result["bytes"] == len(broker.sent[0][1])


async def test_an_agent_outside_its_unit_fetches_its_own_lines(journalctl):
    """The unit has said nothing: the lines of this very process."""
    body = 'case "$*" in *_PID=*) echo "$*";; esac'
    broker = Broker()
    await fetch(Journal(journalctl=journalctl(body)), broker)
    assert broker.lines[0].endswith(f"_PID={os.getpid()}")


async def test_a_log_that_is_not_in_the_journal_is_a_sentence(journalctl):
    """Nothing found: where it may be, and what journalctl says about rights."""
    journal = Journal(journalctl=journalctl("echo 'Hint: not in the group' >&2"))
    with pytest.raises(ActionError, match=r"no line of the agent in the last 60 s: .*Hint: not in"):
        await fetch(journal, Broker(), since_s=60)


async def test_a_journal_that_fails_is_a_sentence(journalctl):
    """What journalctl says goes to the operator."""
    journal = Journal(journalctl=journalctl("echo 'Data corrupted' >&2; exit 1"))
    with pytest.raises(ActionError, match=r"status 1: Data corrupted"):
        await fetch(journal, Broker())


async def test_secrets_are_taken_out(journalctl):
    """Whatever cleans text in this kiosk cleans the journal too."""
    journal = Journal(
        journalctl=journalctl("echo rtsp://u:secret@cam"),
        clean=lambda text: text.replace("u:secret", "***"),
    )
    broker = Broker()
    await fetch(journal, broker)
    assert broker.lines == ["rtsp://***@cam"]


async def test_of_a_large_journal_the_newest_lines_are_sent(journalctl):
    """Fewer lines until they fit: the end of the log is what is wanted."""
    body = (
        "for last; do case $last in --lines=*) n=${last#--lines=};; esac; done\n"
        "seq -f %0500.0f $((50001 - n)) 50000"
    )
    broker = Broker()
    result = await fetch(Journal(journalctl=journalctl(body)), broker, lines=50_000)
    numbers = [int(line) for line in broker.lines]
    assert numbers == list(range(50_001 - len(numbers), 50_001))
    assert result["lines"] == len(numbers) > 1000
    assert result["bytes"] <= MAX_MEDIA_BYTES


def test_packed_lines_fit_and_are_the_newest():
    """What does not shrink is cut: the older lines go, one line may stay or none."""
    lines = [os.urandom(200).hex() for _ in range(200)]
    packed, kept = pack(lines, 10_000)
    assert len(packed) <= 10_000
    assert 0 < kept < 200
    assert gzip.decompress(packed).decode().splitlines() == lines[-kept:]
    assert pack(lines, 50)[1] == 0


async def test_a_machine_without_journalctl_says_so_beforehand():
    """Not installed: missing before anybody asks, and a sentence if somebody does."""
    journal = Journal(journalctl="journalctl-that-is-not-there")
    action = log_fetch(journal, Broker().send)
    assert action.missing() is None
    await journal.look()
    assert action.missing() == "journalctl-that-is-not-there is not installed on this machine"
    with pytest.raises(ActionError, match="cannot be run"):
        await fetch(journal, Broker())


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed")
async def test_the_real_program_understands_us():
    """The real one takes the arguments; a test's log is in no journal."""
    journal = Journal(unit="no-such-unit")
    await journal.look()
    assert journal.missing is None
    with pytest.raises(ActionError, match="no line of the agent"):
        await journal.newest(since_s=1, lines=5)
