"""A snapshot takes one person's word without faces, two persons' with them."""

import hashlib

import pytest

from commands.actions.snapshot import Picture, snapshot
from commands.errors import ActionError
from contract.actions import Snapshot
from contract.limits import MAX_MEDIA_BYTES
from tests.support.clock import ManualClock
from tests.support.invocations import COMMAND_ID, invocation


class Kiosk:
    """Its camera and its line to the broker."""

    def __init__(self, jpeg: bytes = b"\xff\xd8picture"):
        self.jpeg = jpeg
        self.orders: list[tuple] = []
        self.sent: list[tuple] = []
        self.refusal: str | None = None
        self.cameras = {"front"}
        self.action = snapshot(self.take, self.send, cameras=self.cameras)

    async def take(self, camera, blur, max_width_px):
        self.orders.append((camera, blur, max_width_px))
        return Picture(self.jpeg, 640, 360, 2 if blur else None, 1 if blur else None, 120)

    async def send(self, *media):
        if self.refusal:
            raise ActionError(self.refusal)
        self.sent.append(media)

    async def command(self, arguments: Snapshot):
        return await self.action.run(arguments, invocation(arguments, ManualClock().stamp()))


async def test_the_picture_goes_to_the_broker_and_its_description_into_the_receipt():
    """The receipt says what was sent, so that the file can be checked; the picture is not in it."""
    kiosk = Kiosk()
    result = await kiosk.command(Snapshot(camera="front", max_width_px=640))
    assert kiosk.orders == [("front", True, 640)]
    assert kiosk.sent == [(COMMAND_ID, kiosk.jpeg, "image/jpeg")]
    assert result == {
        "camera": "front",
        "width_px": 640,
        "height_px": 360,
        "bytes": 9,
        "sha256": hashlib.sha256(kiosk.jpeg).hexdigest(),
        "faces_hidden": 2,
        "plates_hidden": 1,
        "frame_age_ms": 120,
        "topic": f"up/media/{COMMAND_ID}",
    }


async def test_faces_take_two_signatures():
    """One person is enough for the place; two must want the face."""
    kiosk = Kiosk()
    assert kiosk.action.signers(Snapshot(camera="front")) == 1
    assert kiosk.action.signers(Snapshot(camera="front", blur=False)) == 2
    result = await kiosk.command(Snapshot(camera="front", blur=False))
    assert result["faces_hidden"] is None


async def test_a_picture_that_cannot_be_sent_is_a_failure():
    """Too large, or refused by the broker: the command fails with a sentence."""
    kiosk = Kiosk(bytes(MAX_MEDIA_BYTES + 1))
    with pytest.raises(ActionError, match="more than can be sent"):
        await kiosk.command(Snapshot(camera="front"))
    assert kiosk.sent == []
    kiosk = Kiosk()
    kiosk.refusal = "the broker did not take it"
    with pytest.raises(ActionError, match="did not take it"):
        await kiosk.command(Snapshot(camera="front"))


def test_a_kiosk_without_cameras_says_so_beforehand():
    """Cameras come and go with the settings: those of the moment count."""
    kiosk = Kiosk()
    assert kiosk.action.missing() is None
    kiosk.cameras.clear()
    assert kiosk.action.missing() == "this kiosk has no camera"
