"""The ledger's promise under any order of deliveries, repeats, restarts and power cuts.

Each step of a scenario is a delivery, a run until all is quiet, a restart, or the setting of a
power cut some durable steps ahead: before or after any write of the ledger, any receipt handed
on, and any deed done.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.ledger import Ledger
from tests.support.commanded import CommandedKiosk, Deed
from tests.support.operators import make_command, make_key

KEY = make_key("li")
MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing


class PowerCutError(BaseException):
    """The machine goes dark: no handler may catch it."""


class Mains:
    """Power for a number of steps more."""

    def __init__(self):
        self.left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise PowerCutError


def frail(ledger: Ledger, mains: Mains) -> None:
    """Let the power fail before and after each of the ledger's writes."""
    for name in ("take_in", "append"):
        genuine = getattr(ledger, name)

        async def cut(*args, genuine=genuine, **options):
            mains.step()
            done = await genuine(*args, **options)
            mains.step()
            return done

        setattr(ledger, name, cut)


class House:
    """A kiosk whose power may go at any step."""

    def __init__(self, folder: Path):
        self.mains = Mains()
        self.once, self.again = Deed("once"), Deed("again", idempotent=True)
        self.kiosk = CommandedKiosk(
            folder, [KEY], deeds=[self.once, self.again], repeats_per_minute=1000
        )
        publish = self.kiosk.executor._publish  # the seam that the power cut is put into

        async def frail_publish(data, stamp) -> None:
            self.mains.step()
            await publish(data, stamp)
            self.mains.step()

        self.kiosk.publish = frail_publish
        self.kiosk.boot()
        frail(self.kiosk.ledger, self.mains)

    async def restart(self) -> None:
        self.mains.left = None
        await self.kiosk.ledger.close()
        self.kiosk.boot()
        frail(self.kiosk.ledger, self.mains)

    async def run(self, act) -> None:
        """Do something; when the power fails, start again."""
        dark = False
        try:
            await act
        except* PowerCutError:
            dark = True
        if dark:
            await self.restart()

    async def work(self) -> None:
        """Run until nothing is open."""
        runner = asyncio.ensure_future(self.kiosk.executor.run())
        quiet = asyncio.ensure_future(self.quiet())
        try:
            await asyncio.wait([runner, quiet], return_when=asyncio.FIRST_COMPLETED)
            if runner.done():
                await runner
        finally:
            for task in (runner, quiet):
                task.cancel()
            await asyncio.gather(runner, quiet, return_exceptions=True)

    async def quiet(self) -> None:
        ledger = self.kiosk.ledger
        while await ledger.open_commands() or await ledger.unpublished():
            await asyncio.sleep(0)


STEPS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(0, 3)),
    st.tuples(st.just("cut"), st.integers(0, 12)),
    st.tuples(st.just("work"), st.none()),
    st.tuples(st.just("restart"), st.none()),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=2, max_size=14))
def test_each_command_ends_once_and_is_done_at_most_once(steps):
    """One terminal receipt a command, one execution where a second would matter."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        asyncio.run(_scenario(folder, steps))
    finally:
        shutil.rmtree(folder)


async def _scenario(folder: Path, steps) -> None:
    house = House(folder)
    commands = [
        make_command(action=name, args={}, ttl_s=7 * 86_400)
        for name in ("once", "again", "ping", "once")
    ]
    delivered = set()
    for step, value in steps:
        match step:
            case "deliver":
                delivered.add(value)
                await house.run(house.kiosk.send(commands[value]))
            case "cut":
                house.mains.left = value
            case "work":
                await house.run(house.work())
            case _:
                await house.restart()
    # The centre repeats until it is answered; in the end the power stays.
    await house.restart()
    for number in delivered:
        await house.kiosk.send(commands[number])
    await house.work()
    for number in delivered:
        await house.kiosk.send(commands[number])
    await house.kiosk.ledger.close()

    for number in delivered:
        assert len(house.kiosk.terminal(commands[number])) == 1
        own = [r for r in house.kiosk.receipts if r.command_id == commands[number].id]
        first_end = next(i for i, r in enumerate(own) if r.status not in {"accepted", "running"})
        assert {r.status for r in own[first_end:]} == {own[first_end].status}
    assert house.once.done <= len(delivered & {0, 3})
    finished = {r.command_id for r in house.kiosk.receipts if r.status == "succeeded"}
    assert house.once.done >= len(finished & {commands[0].id, commands[3].id})
