"""The link as actions see it that send pictures and archives."""

from commands.errors import ActionError
from commands.media import SendMedia
from telemetry.link import Link
from telemetry.transport import LinkError


def media_sender(link: Link) -> SendMedia:
    """Send over this link; what the broker refuses is the action's failure."""

    async def send(command_id: str, payload: bytes, content_type: str) -> None:
        try:
            await link.send_media(command_id, payload, content_type)
        except LinkError as error:
            msg = f"the broker did not take it: {error}"
            raise ActionError(msg) from None

    return send
