"""``config.push``: what became of pushed settings, as a receipt tells it."""

from typing import Any

import pytest

from commands.action import Invocation
from commands.actions.config import config_push
from commands.errors import ActionError
from contract.actions import ConfigPush
from contract.config import ConfigChanged, settings_hash
from tests.support.clock import ManualClock
from tests.support.invocations import Told, invocation

SETTINGS = {"link": {"port": 1884}}
ARGUMENTS = ConfigPush(version=3, settings=SETTINGS)


class Keeper:
    """Keeps settings as it is told to."""

    def __init__(self, outcome: ConfigChanged | None) -> None:
        self._outcome = outcome
        self.pushed: list[object] = []

    async def push(self, version, settings, *, signers, say) -> ConfigChanged:
        self.pushed.append((version, settings, signers))
        await say("the new settings are put in force")
        assert self._outcome is not None
        return self._outcome

    async def outcome(self, version: int) -> ConfigChanged | None:
        assert version == 3
        return self._outcome


def asked(told: Told | None = None) -> Invocation:
    return invocation(ARGUMENTS, ManualClock().stamp(), told=told, signers=("li",))


def outcome(what: str, text: str = "") -> ConfigChanged:
    digest = settings_hash(SETTINGS)
    return ConfigChanged(version=3, hash=digest, outcome=what, text=text, changed=("link",))


async def test_confirmed():
    """The result names version, hash and the tables that changed; it cannot be cancelled."""
    keeper = Keeper(outcome("confirmed"))
    told = Told()
    result = await config_push(keeper).run(ARGUMENTS, asked(told))
    assert result == {"version": 3, "hash": settings_hash(SETTINGS), "changed": ["link"]}
    assert keeper.pushed == [(3, SETTINGS, ("li",))]
    assert (told.texts, told.past_return) == (["the new settings are put in force"], True)


@pytest.mark.parametrize(
    ("what", "text"),
    [("rolled_back", "version 3 went back: why"), ("refused", "version 3 was refused: why")],
)
async def test_not_confirmed(what: str, text: str):
    """What went back or was refused is a failure with the reason, also when it is told later."""
    action = config_push(Keeper(outcome(what, "why")))
    with pytest.raises(ActionError, match=text):
        await action.run(ARGUMENTS, asked())
    assert action.resume is not None
    with pytest.raises(ActionError, match=text):
        await action.resume(ARGUMENTS, asked())


async def test_restart_before_the_trial():
    """After a restart, a push that never began is said to be interrupted."""
    action = config_push(Keeper(None))
    assert action.resume is not None
    with pytest.raises(ActionError, match="push it again") as caught:
        await action.resume(ARGUMENTS, asked())
    assert caught.value.code == "interrupted"


def test_moving_a_kiosk_takes_two_persons():
    """Another broker would get the kiosk's password: that is not one person's to decide."""
    action = config_push(Keeper(None))
    alone = ConfigPush(version=1, settings={"log": {"level": "debug"}})
    moved = ConfigPush(version=1, settings={"link": {"host": "elsewhere.example"}})
    assert (action.signers(alone), action.signers(moved)) == (1, 2)


@pytest.mark.parametrize(
    ("plates", "signers"),
    [
        ({"enabled": True}, 1),
        ({"plain_text_purpose": ""}, 1),
        ({"plain_text_purpose": "parking offences"}, 2),
        ({"suppress": []}, 2),
    ],
)
def test_baring_plates_takes_two_persons(plates: dict[str, Any], signers: int):
    """Plates in plain text, and those that are kept back, are not one person's to decide."""
    cameras = [{"name": "a", "source": "0"}, {"name": "b", "source": "1", "plates": plates}]
    pushed = ConfigPush(version=1, settings={"camera": cameras})
    assert config_push(Keeper(None)).signers(pushed) == signers


def test_keeping_plates_longer_takes_two_persons():
    """Whatever is pushed of the table: how long pseudonyms hold, events and lists are kept."""
    pushed = ConfigPush(version=1, settings={"plates": {"rotation_days": 31}})
    assert config_push(Keeper(None)).signers(pushed) == 2


@pytest.mark.parametrize("camera", [None, 7, "a", [7], [{"plates": 7}], {"a": 1}])
def test_nonsense_in_place_of_cameras(camera: Any):
    """What is no list of cameras is left to those who check the settings."""
    pushed = ConfigPush(version=1, settings={"camera": camera})
    assert config_push(Keeper(None)).signers(pushed) == 1
