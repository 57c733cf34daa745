"""Pictures and archives that a command asked for, on their way to ``up/media``."""

import hashlib
from collections.abc import Awaitable, Callable

from commands.action import Invocation, Result
from commands.errors import ActionError
from contract.limits import MAX_MEDIA_BYTES

JPEG = "image/jpeg"
GZIP = "application/gzip"

SendMedia = Callable[[str, bytes, str], Awaitable[None]]
"""Takes command id, payload and content type; the broker has it when it returns. Raises
:class:`~commands.errors.ActionError` where the broker does not take it."""


async def send(
    send_media: SendMedia, invocation: Invocation, payload: bytes, content_type: str
) -> Result:
    """Send it; returns what the receipt says of it: ``bytes``, ``sha256``, end of the ``topic``.

    Raises:
        ActionError: it is larger than :data:`~contract.limits.MAX_MEDIA_BYTES`, or not taken.
    """
    if len(payload) > MAX_MEDIA_BYTES:
        msg = f"{len(payload)} bytes are more than can be sent (at most {MAX_MEDIA_BYTES})"
        raise ActionError(msg)
    command_id = invocation.command.id
    await send_media(command_id, payload, content_type)
    return {
        "bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
        "topic": f"up/media/{command_id}",
    }
