"""``kioskctl send`` over a line that breaks at the wrong moment."""

import asyncio

from bench.rig.proxy import TcpProxy
from contract.command import Command
from tests.support.scripted_kiosk import ScriptedKiosk


async def test_an_end_that_was_missed_is_asked_for_again(kioskctl, broker, li, key_file):
    """The kiosk succeeds while the console is cut off; the repeated command brings the receipt."""
    accepted = asyncio.Event()

    async def script(kiosk: ScriptedKiosk, command: Command) -> None:
        await kiosk.receipt(command, "accepted")
        accepted.set()

    async def repeats(kiosk: ScriptedKiosk, command: Command) -> None:
        await kiosk.receipt(command, "succeeded")

    async with (
        TcpProxy("127.0.0.1", broker.port) as proxy,
        ScriptedKiosk(broker.port, "l-1", [li], script, again=repeats).online() as kiosk,
    ):
        url = f"mqtt://127.0.0.1:{proxy.port}"
        process = await kioskctl.start("--broker", url, "send", "l-1", "ping", "--key", key_file)
        await accepted.wait()
        proxy.cut()
        out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b"ping succeeded" in out
    assert b"connected again" in errors
    assert len({signed.command.id for signed in kiosk.heard}) == 1


async def test_a_broker_that_comes_late_still_gets_it(kioskctl, broker, li, key_file):
    """Trying again is the console's business, not the operator's."""
    async with (
        TcpProxy("127.0.0.1", broker.port) as proxy,
        ScriptedKiosk(broker.port, "l-2", [li]).online(),
    ):
        await proxy.close()
        url = f"mqtt://127.0.0.1:{proxy.port}"
        process = await kioskctl.start("--broker", url, "send", "l-2", "ping", "--key", key_file)
        assert process.stderr is not None
        assert b"trying again" in await asyncio.wait_for(process.stderr.readline(), 30)
        await proxy.open()
        await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0


async def test_a_fleet_has_one_connection(kioskctl, broker, li, key_file):
    """However many kiosks are asked."""
    async with (
        TcpProxy("127.0.0.1", broker.port) as proxy,
        ScriptedKiosk(broker.port, "l-3", [li]).online(),
        ScriptedKiosk(broker.port, "l-4", [li]).online(),
    ):
        url = f"mqtt://127.0.0.1:{proxy.port}"
        names = ("--kiosk", "l-3", "--kiosk", "l-4")
        done = await kioskctl("--broker", url, "send", "ping", *names, "--key", key_file)
        assert (done.code, proxy.accepted) == (0, 1)
