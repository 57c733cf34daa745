"""Staff by command: two persons enrol, one deletes; receipts hold nothing of a face."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic_core import to_json

from commands.action import Action
from commands.actions.config import config_push
from commands.actions.identity import identity_enroll, identity_list, identity_remove
from commands.errors import ActionError
from commands.policy import DEFAULT_POLICY
from commands.runner import MAX_RESULT_BYTES
from contract.actions import ConfigPush
from tests.support.operators import make_command, make_key

ARGS = {
    "subject": "Zhang-3",
    "purposes": ["presence", "cabinet"],
    "consent_code": "HR/2026/17",
    "days": 30,
    "for_s": 60,
}
ENROLLED = datetime(2026, 11, 1, 8, tzinfo=UTC)
DIGEST = "d" * 64


def person(subject="Zhang-3", enrolment="0123456789abcdef", consent_code="HR/2026/17"):
    return SimpleNamespace(
        subject=subject,
        enrolment=enrolment,
        purposes=("presence", "cabinet", "maintenance"),
        consent_code=consent_code,
        enrolled=ENROLLED,
        expires=ENROLLED + timedelta(days=30),
    )


class Keeper:
    """Keeps whom it is told to."""

    max_persons = 10_000

    def __init__(self):
        self.kept = {}
        self.by = []
        self.asked = []
        self.refuses = False
        self.waiting = asyncio.Event()
        self.writing = asyncio.Event()
        self.writing.set()
        self.there = asyncio.Event()
        self.there.set()

    async def enroll(self, order, *, by, progress, no_return):
        self.waiting.set()
        await self.there.wait()
        if self.refuses:
            msg = "this person is enrolled already, as enrolment 0123456789abcdef"
            raise ActionError(msg)
        no_return()
        self.by.append(by)
        self.kept[order.subject] = order
        return SimpleNamespace(person=person(), persons=len(self.kept))

    async def remove(self, subject, *, by):
        self.waiting.set()
        await self.writing.wait()
        self.by.append(by)
        gone = [subject] if subject in self.kept else list(self.kept) if subject is None else []
        for one in gone:
            del self.kept[one]
        return SimpleNamespace(
            enrolments=[f"{number:016x}" for number, _ in enumerate(gone)],
            digest=DIGEST,
            persons=len(self.kept),
        )

    def actions(self, cameras=("face",)) -> list[Action]:
        return [
            identity_enroll(self, cameras=cameras),
            identity_remove(self),
            identity_list(self),
        ]

    async def list(self, after, limit):
        self.asked.append((after, limit))
        names = sorted(one for one in self.kept if after is None or one > after)
        persons = [person(one, consent_code=self.kept[one]) for one in names[:limit]]
        return SimpleNamespace(persons=persons, count=len(self.kept), more=len(names) > limit)


ROWS = {name: row for name, row in DEFAULT_POLICY.items() if name.startswith("identity.")}


@pytest.fixture
def keeper():
    return Keeper()


@pytest.fixture
def kiosk(make_kiosk, keeper, zhao):
    return make_kiosk(keys=[zhao], actions=keeper.actions(), rows=ROWS)


async def do(kiosk, action, *keys, **args):
    return await kiosk.order(f"identity.{action}", *keys, **args)


async def test_enrol_list_remove(kiosk, keeper, li, zhao):
    """Enrolling and removing name numbers, no subject; the list names who is enrolled."""
    async with kiosk.running():
        enrolled = await do(kiosk, "enroll", li, zhao, **ARGS)
        assert enrolled.result == {
            "enrolment": "0123456789abcdef",
            "purposes": ["presence", "cabinet", "maintenance"],
            "expires": "2026-12-01T08:00:00.000Z",
            "persons": 1,
        }
        assert keeper.by == [f"{li.kid}, {zhao.kid}"]
        keeper.kept["Zhang-3"] = "HR/2026/17"
        listed = await do(kiosk, "list", after="Wang", limit=10)
        assert listed.result == {
            "persons": [
                {
                    "subject": "Zhang-3",
                    "enrolment": "0123456789abcdef",
                    "purposes": ["presence", "cabinet", "maintenance"],
                    "consent_code": "HR/2026/17",
                    "enrolled": "2026-11-01T08:00:00.000Z",
                    "expires": "2026-12-01T08:00:00.000Z",
                }
            ],
            "count": 1,
            "max_persons": 10_000,
            "more": False,
        }
        assert keeper.asked == [("Wang", 10)]
        removed = await do(kiosk, "remove", subject="Zhang-3")
        assert removed.result == {
            "deleted": 1,
            "enrolments": ["0" * 16],
            "digest": DIGEST,
            "persons": 0,
        }
    said = "".join(one.model_dump_json() for one in kiosk.receipts if one is not listed)
    assert "Zhang" not in said


async def test_the_operator_hears_what_it_waits_for(kiosk, li, zhao):
    """While the person is waited for, the receipt says so."""
    async with kiosk.running():
        await do(kiosk, "enroll", li, zhao, **ARGS)
    assert "waiting up to 60 s for the person at the camera" in [
        one.text for one in kiosk.receipts if one.status == "running"
    ]


async def test_one_person_cannot_enrol(kiosk, keeper, li):
    """To keep somebody's face takes two persons; one may list and remove."""
    assert (await do(kiosk, "enroll", li, **ARGS)).code == "second_signature"
    assert keeper.kept == {}


@pytest.mark.parametrize("role", ["maintainer", "viewer"])
async def test_who_mends_kiosks_has_no_say(make_kiosk, keeper, role):
    """Staff's faces are the business of operators and supervisors."""
    keys = [make_key("one", role=role), make_key("two", role=role)]
    kiosk = make_kiosk(keys=keys, actions=keeper.actions(), rows=ROWS)
    for action, args in (("enroll", ARGS), ("remove", {}), ("list", {})):
        assert (await do(kiosk, action, *keys, **args)).code == "not_authorised"


async def test_a_kiosk_that_compares_no_faces(make_kiosk, keeper, li, zhao):
    """Nobody is enrolled where no camera compares faces; removing and listing go on."""
    kiosk = make_kiosk(keys=[zhao], actions=keeper.actions(cameras=()), rows=ROWS)
    assert (await do(kiosk, "enroll", li, zhao, **ARGS)).text == (
        "no camera of this kiosk compares faces"
    )
    async with kiosk.running():
        assert (await do(kiosk, "remove")).status == "succeeded"
        assert (await do(kiosk, "list")).status == "succeeded"


@pytest.mark.parametrize("refuses", [False, True])
async def test_no_record_keeps_the_name(kiosk, keeper, li, zhao, refuses):
    """When the command has ended, well or not, the subject is in no file of the command path."""
    keeper.refuses = refuses
    async with kiosk.running():
        receipt = await do(kiosk, "enroll", li, zhao, **ARGS)
        assert receipt.status == ("failed" if refuses else "succeeded")
        await do(kiosk, "remove", subject="Zhang-3")
    assert b"Zhang-3" not in await kiosk.kept()


async def test_an_enrolment_may_be_called_off(kiosk, keeper, li, zhao):
    """As long as nobody has come, the command can be cancelled."""
    keeper.there.clear()
    command = make_command(action="identity.enroll", args=ARGS)
    async with kiosk.running():
        await kiosk.send(command, li, zhao)
        await keeper.waiting.wait()
        await kiosk.send(make_command(action="cancel", args={"command_id": command.id}))
        await kiosk.ended(command)
    assert kiosk.terminal(command) == {"cancelled"}
    assert keeper.kept == {}


async def test_a_power_cut_while_the_person_is_waited_for(kiosk, keeper, li, zhao):
    """It is not taken up again, the person has gone: it has failed, as interrupted."""
    keeper.there.clear()
    command = make_command(action="identity.enroll", args=ARGS)
    async with kiosk.running():
        await kiosk.send(command, li, zhao)
        await keeper.waiting.wait()
    keeper.there.set()
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert (kiosk.receipts[-1].status, kiosk.receipts[-1].code) == ("failed", "interrupted")
    assert keeper.kept == {}


async def test_a_power_cut_while_somebody_is_removed(kiosk, keeper):
    """It is done again at the next start, in another boot too."""
    keeper.kept["Zhang-3"] = "HR/2026/17"
    keeper.writing.clear()
    command = make_command(action="identity.remove", args={"subject": "Zhang-3"})
    async with kiosk.running():
        await kiosk.send(command)
        await keeper.waiting.wait()
    keeper.writing.set()
    kiosk.clock.boot_id = "boot-2"
    kiosk.boot()
    async with kiosk.running():
        await kiosk.ended(command)
    assert kiosk.receipts[-1].result["deleted"] == 1
    assert keeper.kept == {}


async def test_everybody_fits_a_receipt(kiosk, keeper):
    """However many are removed at once, the receipt names 64 of them and counts all."""
    keeper.kept = dict.fromkeys(map(str, range(50_000)), "c")
    async with kiosk.running():
        receipt = await do(kiosk, "remove")
    assert receipt.status == "succeeded"
    assert (receipt.result["deleted"], len(receipt.result["enrolments"])) == (50_000, 64)


async def test_a_page_fits_a_receipt(kiosk, keeper):
    """A page of the longest names is cut to what a receipt holds, and says that there is more."""
    names = [f"{number:03}".ljust(63, "x") for number in range(100)]
    keeper.kept = dict.fromkeys(names, "c" * 63)
    seen, after = [], {}
    async with kiosk.running():
        for _ in range(2):
            receipt = await do(kiosk, "list", **after)
            assert receipt.status == "succeeded"
            assert len(to_json(receipt.result)) <= MAX_RESULT_BYTES
            seen += [one["subject"] for one in receipt.result["persons"]]
            after = {"after": seen[-1]}
            if not receipt.result["more"]:
                break
    assert seen == names
    assert keeper.asked[0] == (None, 100)


def test_nothing_is_done_without_a_record(keeper):
    """While nothing can be recorded, nobody is enrolled, deleted or named."""
    assert [action.idempotent for action in keeper.actions()] == [False, False, False]


@pytest.mark.parametrize(
    ("settings", "signers"),
    [
        ({"identity": {"template_days": 1096}}, 2),
        ({"camera": [{"name": "a", "identity": {"enabled": True}}]}, 2),
        ({"camera": [{"name": "a", "identity": 7}]}, 2),
        ({"camera": [{"name": "a", "source": "0"}]}, 1),
    ],
)
def test_to_compare_faces_takes_two_persons(settings, signers):
    """Whose faces are compared, how, and for how long they are kept is not one person's say."""
    action = config_push(None)
    assert action.signers(ConfigPush(version=1, settings=settings)) == signers
