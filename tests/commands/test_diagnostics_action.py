"""Diagnostics go to the broker as one archive, and say what is missing in it."""

from commands.actions.diagnostics import Archive, diagnostics
from contract.actions import Diagnostics
from tests.support.clock import ManualClock
from tests.support.invocations import COMMAND_ID, invocation


async def test_the_archive_is_sent_and_described():
    """Files and problems stand in the receipt, the content only on up/media."""
    sent = []

    async def collect():
        return Archive(b"archive", ("versions.json",), ("journal: no line",))

    async def send(*media):
        sent.append(media)

    command = invocation(Diagnostics(), ManualClock().stamp())
    result = await diagnostics(collect, send).run(Diagnostics(), command)
    assert sent == [(COMMAND_ID, b"archive", "application/gzip")]
    assert result["files"] == ["versions.json"]
    assert result["problems"] == ["journal: no line"]
    assert result["topic"] == f"up/media/{COMMAND_ID}"
