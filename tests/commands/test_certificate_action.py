"""``certificate.request`` and ``.install`` as commands: signatures, restarts, receipts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.provision.renewal import Renewal
from commands.actions.certificate import certificate_install, certificate_request
from contract.actions import CertificateInstall
from contract.certificates import CertificateRequested
from contract.command import Command
from contract.keys import PrivateKey
from contract.receipt import Receipt
from telemetry.transport import NotAuthorisedError, UnreachableError
from tests.support.clock import START
from tests.support.commanded import CommandedKiosk
from tests.support.operators import NOW_S, make_command, make_key
from tests.support.renewed import RenewedKiosk

ZHAO, WANG = make_key("zhao", role="supervisor"), make_key("wang", role="maintainer")


class Ordered:
    """A kiosk whose certificate is renewed by commands; lives as often as it must."""

    def __init__(self, folder: Path, li: PrivateKey) -> None:
        self.folder, self.li = folder, li
        self.box = RenewedKiosk(folder)
        self.commands: CommandedKiosk | None = None

    @asynccontextmanager
    async def life(self) -> AsyncIterator[CommandedKiosk]:
        async with self.box.life() as renewal:
            kiosk = CommandedKiosk(
                self.folder,
                [self.li, ZHAO, WANG],
                clock=self.box.clock,
                actions=[certificate_install(renewal), certificate_request(renewal)],
            )
            self.renewal: Renewal = renewal
            try:
                async with kiosk.running():
                    yield kiosk
            finally:
                await kiosk.ledger.close()

    async def sign(self, csr: str) -> str:
        signed = await asyncio.to_thread(
            self.box.authority.sign, csr.encode(), since=START - timedelta(days=1)
        )
        return signed.decode()


@pytest.fixture
async def ordered(tmp_path: Path, li: PrivateKey) -> Ordered:
    return await asyncio.to_thread(Ordered, tmp_path, li)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.001)


def command_for(action: str, **args: Any) -> Command:
    """Valid for a day: the clock of these tests runs fast."""
    return make_command(action=action, args=args, exp=NOW_S + 86_400, ttl_s=86_400)


async def order(kiosk: CommandedKiosk, action: str, *keys: PrivateKey, **args: Any) -> Receipt:
    """Order something; returns its last receipt."""
    command = command_for(action, **args)
    await kiosk.send(command, *keys)
    await kiosk.ended(command)
    return kiosk.receipts[-1]


async def request(ordered: Ordered, kiosk: CommandedKiosk) -> str:
    receipt = await order(kiosk, "certificate.request", ZHAO)
    assert receipt.status == "succeeded", receipt.text
    return CertificateRequested.model_validate(receipt.result).csr


async def test_renewed_by_one_senior(ordered: Ordered):
    async with ordered.life() as kiosk:
        assert (await order(kiosk, "certificate.request", ordered.li)).code == "not_authorised"
        certificate = await ordered.sign(await request(ordered, kiosk))
        ordered.box.gate.admits.add(certificate.encode())
        receipt = await order(kiosk, "certificate.install", ZHAO, certificate=certificate)
    assert receipt.status == "succeeded", receipt.text


async def test_roots_take_two(ordered: Ordered):
    roots: dict[str, Any] = {"roots": ordered.box.authority.pem.decode()}
    async with ordered.life() as kiosk:
        alone = await order(kiosk, "certificate.install", ZHAO, **roots)
        both = await order(kiosk, "certificate.install", ZHAO, WANG, **roots)
    assert (alone.status, alone.code) == ("rejected", "second_signature")
    assert (both.status, both.result and both.result["roots"]) == ("succeeded", 1)


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
async def test_restart_during_the_trial(ordered: Ordered, *, good: bool):
    """The command is running until the next life has decided; it has one end."""
    gate = ordered.box.gate
    gate.refusal = UnreachableError("no answer")
    async with ordered.life() as kiosk:
        await ordered.box.until_online()
        certificate = await ordered.sign(await request(ordered, kiosk))
        command = command_for("certificate.install", certificate=certificate)
        await kiosk.send(command, ZHAO)
        await until(lambda: asyncio.to_thread(ordered.box.files.on_trial))
        assert kiosk.terminal(command) == set()
    gate.refusal = NotAuthorisedError("refused our client certificate")
    if good:
        gate.admits.add(certificate.encode())
    async with ordered.life() as kiosk:
        await kiosk.ended(command)
        used = await ordered.box.until_online()
    [last] = [one for one in kiosk.receipts if one.command_id == command.id]
    if good:
        assert (last.status, used) == ("succeeded", certificate.encode())
    else:
        assert (last.status, last.code, used) == ("failed", "interrupted", ordered.box.old)
        assert "refused our client certificate" in last.text


async def test_without_tls_there_is_nothing_to_renew(ordered: Ordered):
    ordered.box.tls = None
    async with ordered.life() as kiosk:
        receipt = await order(kiosk, "certificate.request", ZHAO)
    assert (receipt.status, receipt.code) == ("rejected", "unavailable")
    assert "no certificate" in receipt.text


def test_something_has_to_be_installed():
    with pytest.raises(ValueError, match="a certificate, roots, or both"):
        CertificateInstall()
