"""What the broker refuses is the failure of the action that sent it."""

import pytest

from agent.media import media_sender
from commands.errors import ActionError
from telemetry.transport import RefusedError


class Link:
    """A line on which nothing large goes."""

    def __init__(self):
        self.sent: list[tuple] = []

    async def send_media(self, command_id, payload, content_type):
        if len(payload) > 4:
            msg = "too large here"
            raise RefusedError(msg)
        self.sent.append((command_id, payload, content_type))


async def test_what_the_link_takes_is_sent_and_what_it_refuses_is_a_sentence():
    """The operator reads the broker's reason."""
    link = Link()
    send = media_sender(link)
    await send("id", b"four", "image/jpeg")
    assert link.sent == [("id", b"four", "image/jpeg")]
    with pytest.raises(ActionError, match="the broker did not take it: too large here"):
        await send("id", b"five!", "image/jpeg")
