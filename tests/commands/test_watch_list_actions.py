"""Watch lists by command: two persons put one, no receipt names a plate, no record keeps it."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from commands.action import Action
from commands.actions.watch_list import watch_list_list, watch_list_put, watch_list_remove
from commands.errors import ActionError
from commands.policy import DEFAULT_POLICY
from contract import MalformedError
from contract.actions import WatchListPut
from contract.command import sign_command
from contract.limits import MAX_COMMAND_BYTES
from contract.wire import parse
from tests.support.clock import START
from tests.support.operators import make_command, make_key

PLATE = "蒙BK2345"
ARGS = {
    "name": "stolen",
    "purpose": "case 7",
    "expires": "2026-11-03T08:00:00Z",
    "entries": [{"text": "蒙B·K2345", "code": "stolen"}],
}
TOLD = {
    "name": "stolen",
    "purpose": "case 7",
    "entries": 1,
    "expires": "2026-11-03T08:00:00.000Z",
}


class Keeper:
    """Keeps what it is told to."""

    def __init__(self):
        self.kept = {}
        self.signed = []
        self.refuses = False
        self.writing = asyncio.Event()
        self.writing.set()

    @property
    def lists(self):
        return tuple(self.kept.values())

    async def put(self, order, *, not_before):
        await self.writing.wait()
        if self.refuses:
            msg = "no room"
            raise ActionError(msg)
        self.signed.append(not_before)
        self.kept[order.name] = SimpleNamespace(**dict(order))
        return self.kept[order.name]

    async def remove(self, name):
        return len(self.kept.pop(name).entries)

    @property
    def actions(self) -> list[Action]:
        return [watch_list_put(self), watch_list_remove(self), watch_list_list(self)]


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def kiosk(make_kiosk, keeper, zhao):
    rows = {name: DEFAULT_POLICY[name] for name in DEFAULT_POLICY if "watchlist" in name}
    return make_kiosk(keys=[zhao], actions=keeper.actions, rows=rows)


async def do(kiosk, action, *keys, **args):
    return await kiosk.order(f"plates.watchlist.{action}", *keys, **args)


async def test_put_list_remove(kiosk, keeper, li, zhao):
    """Each says how many plates there are, and until when; none says which."""
    async with kiosk.running():
        assert (await do(kiosk, "put", li, zhao, **ARGS)).result == TOLD
        assert [one.text for one in keeper.kept["stolen"].entries] == [PLATE]
        assert keeper.signed == [START]
        assert (await do(kiosk, "list")).result == {"lists": [TOLD]}
        assert (await do(kiosk, "remove", name="stolen")).result == {"entries": 1}
        assert (await do(kiosk, "list")).result == {"lists": []}
    said = "".join(receipt.model_dump_json() for receipt in kiosk.receipts)
    assert "K2345" not in said


async def test_one_person_cannot_look_for_a_plate(kiosk, keeper, li):
    """To put a list takes two persons; one may remove and list."""
    assert (await do(kiosk, "put", li, **ARGS)).code == "second_signature"
    assert keeper.kept == {}


@pytest.mark.parametrize("role", ["maintainer", "viewer"])
async def test_who_mends_kiosks_has_no_say(make_kiosk, keeper, role):
    """Watch lists are the business of operators and supervisors."""
    keys = [make_key("one", role=role), make_key("two", role=role)]
    rows = {name: DEFAULT_POLICY[name] for name in DEFAULT_POLICY if "watchlist" in name}
    kiosk = make_kiosk(keys=keys, actions=keeper.actions, rows=rows)
    for action, args in (("put", ARGS), ("remove", {"name": "a"}), ("list", {})):
        assert (await do(kiosk, action, *keys, **args)).code == "not_authorised"


@pytest.mark.parametrize("refuses", [False, True])
async def test_no_record_keeps_the_plates(kiosk, keeper, li, zhao, refuses):
    """When the command has ended, well or not, its plates are in no file of the command path."""
    keeper.refuses = refuses
    async with kiosk.running():
        receipt = await do(kiosk, "put", li, zhao, **ARGS)
    assert receipt.status == ("failed" if refuses else "succeeded")
    assert b"K2345" not in await kiosk.kept()


async def test_a_refused_list_is_not_kept_either(kiosk, li):
    """What was refused leaves no plates behind."""
    await do(kiosk, "put", li, **ARGS)
    assert b"K2345" not in await kiosk.kept()


async def test_a_repeat_is_known_without_its_plates(kiosk, keeper, li, zhao):
    """A command that comes again after its end gets its receipt; it is not done again."""
    command = make_command(action="plates.watchlist.put", args=ARGS)
    async with kiosk.running():
        await kiosk.send(command, li, zhao)
        await kiosk.ended(command)
        await kiosk.send(command, li, zhao)
    assert kiosk.statuses == ["accepted", "running", "succeeded", "succeeded"]
    assert len(keeper.signed) == 1


def test_a_thousand_plates_fit_one_command(li, zhao):
    """A full command with two signatures is within the size of commands; one entry more is not."""
    entries = [{"text": f"蒙BK{number:05}", "code": "stolen"} for number in range(1000)]
    command = make_command(action="plates.watchlist.put", args={**ARGS, "entries": entries})
    assert len(sign_command(command, [li, zhao])) < MAX_COMMAND_BYTES
    entries.append(entries[0])
    with pytest.raises(MalformedError, match="at most 1000"):
        parse(WatchListPut, json.dumps({**ARGS, "entries": entries}).encode(), limit=10**6)


@pytest.mark.parametrize("text", ["", "AB1", "京A123456789", "京A123?5", "京A123\u200b", "a" * 40])
def test_what_is_no_plate_is_refused(text):
    """Entries are whole plates: no patterns, no joker characters."""
    args = {**ARGS, "entries": [{"text": text, "code": "stolen"}]}
    with pytest.raises(MalformedError, match=r"entries\.0\.text"):
        parse(WatchListPut, json.dumps(args).encode(), limit=10**6)


async def test_a_running_kiosk_keeps_no_plates_either(kiosk, li, zhao):
    """Not even the database's log has them once the command has ended."""
    async with kiosk.running():
        await do(kiosk, "put", li, zhao, **ARGS)
        kept = b"".join(file.read_bytes() for file in kiosk.folder.glob("ledger.db*"))
    assert b"K2345" not in kept


async def test_a_power_cut_while_it_is_put(kiosk, keeper, li, zhao):
    """The list is put again at the next start, in another boot too, and said to be in force."""
    keeper.writing.clear()
    command = make_command(action="plates.watchlist.put", args=ARGS)
    async with kiosk.running():
        await kiosk.send(command, li, zhao)
        await kiosk.until(lambda: kiosk.statuses == ["accepted", "running"])
    keeper.writing.set()
    kiosk.clock.boot_id = "boot-2"
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.statuses[-1] == "succeeded"
    assert [one.text for one in keeper.kept["stolen"].entries] == [PLATE]


def test_nobody_is_looked_for_without_a_record(keeper):
    """While nothing can be recorded a list is refused: who ordered it would not be known."""
    put, remove, named = keeper.actions
    assert (put.idempotent, remove.idempotent, named.idempotent) == (False, False, True)
