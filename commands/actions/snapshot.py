"""``snapshot``: what a camera sees now, without faces unless two persons want them."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from commands.action import Action, Invocation, Result
from commands.media import JPEG, SendMedia, send
from contract.actions import Snapshot


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG without metadata, and how it was made."""

    jpeg: bytes
    width_px: int
    height_px: int
    faces_hidden: int | None
    """None: faces were left as they are."""
    plates_hidden: int | None
    """None: plates were left as they are."""
    frame_age_ms: int


Take = Callable[[str, bool, int], Awaitable[Picture]]
"""Takes a picture: camera, whether to hide faces and plates, greatest width. Raises ActionError."""


def snapshot(take: Take, send_media: SendMedia, *, cameras: Collection[str]) -> Action[Snapshot]:
    """Make the action; ``cameras`` are those that the kiosk has at the moment.

    Its result: ``camera``, ``width_px``, ``height_px``, ``faces_hidden`` and ``plates_hidden``
    (null: left visible), ``frame_age_ms`` and what :func:`commands.media.send` adds.
    """

    async def run(arguments: Snapshot, invocation: Invocation) -> Result:
        picture = await take(arguments.camera, arguments.blur, arguments.max_width_px)
        sent = await send(send_media, invocation, picture.jpeg, JPEG)
        return {
            "camera": arguments.camera,
            "width_px": picture.width_px,
            "height_px": picture.height_px,
            "faces_hidden": picture.faces_hidden,
            "plates_hidden": picture.plates_hidden,
            "frame_age_ms": picture.frame_age_ms,
            **sent,
        }

    return Action(
        arguments=Snapshot,
        run=run,
        missing=lambda: None if cameras else "this kiosk has no camera",
        signers=lambda arguments: 1 if arguments.blur else 2,
    )
