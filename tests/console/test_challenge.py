"""A kiosk with a wrong clock asks for a signature over its challenge."""

from contract.command import Command
from contract.ids import new_challenge
from tests.support.scripted_kiosk import ScriptedKiosk, succeed

CHALLENGE = new_challenge()


async def doubts(kiosk: ScriptedKiosk, command: Command) -> None:
    """It obeys only what carries its challenge."""
    if command.challenge == CHALLENGE:
        await succeed(kiosk, command)
    else:
        fields = {"code": "clock", "text": "the clock is wrong", "challenge": CHALLENGE}
        await kiosk.receipt(command, "rejected", **fields)


async def test_it_signs_again_by_itself_and_says_so(kioskctl, broker, li, key_file):
    """The second command is another one, with the challenge; the operator learns of it."""
    async with ScriptedKiosk(broker.port, "c-1", [li], doubts).online() as kiosk:
        done = await kioskctl("reboot", "c-1", "--key", key_file)
    assert done.code == 0
    assert "signed anew with the kiosk's challenge" in done.errors
    first, second = (signed.command for signed in kiosk.heard)
    assert (first.challenge, second.challenge) == (None, CHALLENGE)
    assert second.answers == first.id != second.id
    assert (second.action, second.args) == ("reboot", {})


async def test_only_once(kioskctl, broker, li, key_file):
    """A kiosk that is never content is not signed for again and again."""

    async def never(kiosk: ScriptedKiosk, command: Command) -> None:
        fields = {"code": "clock", "text": "the clock is wrong", "challenge": new_challenge()}
        await kiosk.receipt(command, "rejected", **fields)

    async with ScriptedKiosk(broker.port, "c-2", [li], never).online() as kiosk:
        done = await kioskctl("reboot", "c-2", "--key", key_file)
    assert (done.code, len(kiosk.heard)) == (3, 2)


async def test_what_was_signed_into_a_file_is_not_signed_again(kioskctl, broker, li, key_file):
    """Who sends a file may not be who signed it; a new file can hold the challenge."""
    await kioskctl("sign", "c-3", "reboot", "--key", key_file, "--out", "order")
    async with ScriptedKiosk(broker.port, "c-3", [li], doubts).online() as kiosk:
        done = await kioskctl("send", "--file", "order")
        assert (done.code, len(kiosk.heard)) == (3, 1)
        await kioskctl(
            *("sign", "c-3", "reboot", "--key", key_file),
            *("--challenge", CHALLENGE, "--answers", kiosk.heard[0].command.id),
            *("--out", "order-2"),
        )
        assert (await kioskctl("send", "--file", "order-2")).code == 0
