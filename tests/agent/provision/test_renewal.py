"""Renewal: what gives a line stays, what does not goes back, whenever the power fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.provision.certificate import Chain
from agent.provision.folder import IdentityFolder
from agent.provision.renewal import TRIAL_S, Renewal
from commands.errors import ActionError
from contract.actions import CertificateInstall
from telemetry.link import Link, LinkState
from telemetry.outbox import Outbox
from telemetry.settings import LinkSettings, OutboxSettings, TlsSettings
from telemetry.transport import (
    Connection,
    ConnectOptions,
    LinkError,
    NotAuthorisedError,
    TlsError,
    UnreachableError,
)
from telemetry.voice import Birth
from tests.support.authority import Authority
from tests.support.clock import START, ManualClock
from tests.support.configured import Mains, PowerCutError
from tests.support.fake_broker import FakeBroker
from tests.support.messages import TOPICS

KIOSK = TOPICS.kiosk


class Gate:
    """Lets kiosks to the broker whose certificate it knows, by the file's content."""

    def __init__(self, broker: FakeBroker) -> None:
        self._transport = broker.transport()
        self.admits: set[bytes] = set()
        self.roots: set[bytes] | None = None
        self.refusal: LinkError = NotAuthorisedError("refused our client certificate")
        self.shown: list[bytes] = []

    async def connect(self, options: ConnectOptions) -> Connection:
        tls = options.tls
        assert tls is not None
        assert tls.certificate is not None
        assert tls.ca is not None
        certificate, roots = await asyncio.to_thread(
            lambda: (tls.certificate.read_bytes(), tls.ca.read_bytes())  # type: ignore[union-attr]
        )
        self.shown.append(certificate)
        if self.roots is not None and roots not in self.roots:
            msg = "the certificate of the broker is not trusted"
            raise TlsError(msg)
        if certificate not in self.admits:
            raise self.refusal
        return await self._transport.connect(options)


class RenewedKiosk:
    """A link with a provisioned identity, and who renews it; boots anew as often as it must."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority("Root")
        self.clock = ManualClock()
        self.broker = FakeBroker(self.clock)
        self.gate = Gate(self.broker)
        self.state = folder / "state"
        self.tls: TlsSettings | None = TlsSettings()
        self.mains = Mains()
        self.lives = 0
        self.files = IdentityFolder(self.state)
        chain = Chain.read(self.authority.sign(self.files.first_request(KIOSK), since=START))
        self.files.install(chain, [self.authority.certificate])
        self.old = chain.pem
        self.gate.admits.add(self.old)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Renewal]:
        """From a start of the agent to its end."""
        self.lives += 1
        self.mains.restore()
        self.files = FrailFolder(self.state, self.mains)
        await asyncio.to_thread(self.files.settle)
        outbox = Outbox(
            self.state / f"outbox-{self.lives}",
            topics=TOPICS,
            settings=OutboxSettings(),
            clock=self.clock,
            on_fault=lambda *_: None,
        )
        await outbox.start()
        self.link = Link(
            transport=self.gate,
            outbox=outbox,
            topics=TOPICS,
            settings=LinkSettings(tls=TlsSettings(), reconnect_min_s=0.1),
            outbox_settings=OutboxSettings(),
            clock=self.clock,
            birth=lambda: Birth("1", START, (), ()),
            identity=self.files.in_use,
        )
        self._linking = asyncio.create_task(self.link.run())
        renewal = Renewal(
            self.files,
            kiosk=KIOSK,
            tls=lambda: self.tls,
            link=self.link,
            reconnect=self._reconnect,
            clock=self.clock,
        )
        tasks = [
            asyncio.create_task(outbox.run()),
            asyncio.create_task(renewal.run()),
            asyncio.create_task(self._pass_time()),
        ]
        try:
            yield renewal
        finally:
            for task in (*tasks, self._linking):
                task.cancel()
            await asyncio.gather(*tasks, self._linking, return_exceptions=True)
            await outbox.close()

    async def _reconnect(self) -> int:
        self._linking.cancel()
        await asyncio.gather(self._linking, return_exceptions=True)
        self._linking = asyncio.create_task(self.link.run())
        return self.link.connects

    async def _pass_time(self) -> None:
        while True:
            await self.clock.advance(0.5)
            await asyncio.sleep(0.001)

    async def until_online(self) -> bytes:
        """Return what the broker was shown when the line stood."""
        while self.link.state is not LinkState.ONLINE:
            await asyncio.sleep(0.001)
        return self.gate.shown[-1]

    async def order(self, renewal: Renewal, **fields: Any) -> CertificateInstall:
        """Ask for a request and have it signed."""
        requested = await renewal.request()
        authority = fields.pop("authority", self.authority)
        fields = {"since": START - timedelta(days=1), **fields}
        signed = authority.sign(requested["csr"].encode(), **fields)
        return CertificateInstall(certificate=signed.decode())


class FrailFolder(IdentityFolder):
    """The power may fail before and after each step of a trial."""

    def __init__(self, state_folder: Path, mains: Mains) -> None:
        super().__init__(state_folder)
        self._mains = mains

    def begin_trial(self, chain, roots) -> None:
        self._mains.step()
        super().begin_trial(chain, roots)
        self._mains.step()

    def take_over(self) -> None:
        self._mains.step()
        super().take_over()
        self._mains.step()

    def end_trial(self) -> None:
        self._mains.step()
        super().end_trial()
        self._mains.step()


async def say(_: str) -> None:
    pass


@pytest.fixture
async def kiosk(tmp_path: Path) -> RenewedKiosk:
    return await asyncio.to_thread(RenewedKiosk, tmp_path)


async def test_new_certificate_stays_when_it_gives_a_line(kiosk: RenewedKiosk):
    """The broker has seen it before the old one is gone; the next start uses it as well."""
    async with kiosk.life() as renewal:
        assert await kiosk.until_online() == kiosk.old
        order = await kiosk.order(renewal)
        assert order.certificate is not None
        new = order.certificate.encode()
        kiosk.gate.admits.add(new)
        result = await renewal.install(order, say)
        assert result["serial"] == Chain.read(new).serial
        assert result["roots"] == 1
        assert await kiosk.until_online() == new
    kiosk.gate.admits.remove(kiosk.old)
    async with kiosk.life() as renewal:
        assert await kiosk.until_online() == new
        assert await renewal.outcome(order) == result


async def test_certificate_that_the_broker_refuses(kiosk: RenewedKiosk):
    """The old one is in force again by itself, and the request is still open."""
    async with kiosk.life() as renewal:
        order = await kiosk.order(renewal)
        csr = await renewal.request()
        with pytest.raises(ActionError, match=r"went back.*refused our client certificate"):
            await renewal.install(order, say)
        assert await kiosk.until_online() == kiosk.old
        assert (await renewal.request())["csr"] == csr["csr"]
        with pytest.raises(ActionError, match="in force") as error:
            await renewal.outcome(order)
        assert error.value.code == "interrupted"


async def test_no_line_in_time(kiosk: RenewedKiosk):
    """Where nobody answers, patience ends."""
    kiosk.gate.refusal = UnreachableError("no answer")
    async with kiosk.life() as renewal:
        await kiosk.until_online()
        order = await kiosk.order(renewal)
        began = kiosk.clock.monotonic()
        with pytest.raises(ActionError, match="no line within 120 s: no answer"):
            await renewal.install(order, say)
        assert kiosk.clock.monotonic() - began >= TRIAL_S
        assert await kiosk.until_online() == kiosk.old


async def test_refused_before_it_is_tried(kiosk: RenewedKiosk):
    """Wrong name, wrong authority, wrong key, expired: the line is not touched for it."""
    stranger = Authority("Stranger")
    async with kiosk.life() as renewal:
        await kiosk.until_online()
        for wrong, fields in {
            "made out to": {"name": "other"},
            "none of the roots": {"authority": stranger},
            "expired at": {"since": START - timedelta(days=200)},
        }.items():
            with pytest.raises(ActionError, match=wrong):
                await renewal.install(await kiosk.order(renewal, **fields), say)
        order = CertificateInstall(certificate=kiosk.old.decode())
        with pytest.raises(ActionError, match="another key"):
            await renewal.install(order, say)
        assert kiosk.link.connects == 1
    assert set(kiosk.gate.shown) == {kiosk.old}


@pytest.mark.parametrize("days", [-200, 200])
async def test_dates_by_an_untrusted_clock_end_nothing(kiosk: RenewedKiosk, days: int):
    """What looks expired, or not valid yet, is tried and kept: the broker judges."""
    kiosk.clock.quality = "unsynced"
    async with kiosk.life() as renewal:
        order = await kiosk.order(renewal, since=START + timedelta(days=days))
        assert order.certificate is not None
        kiosk.gate.admits.add(order.certificate.encode())
        await renewal.install(order, say)
        assert await kiosk.until_online() == order.certificate.encode()


async def test_further_roots_and_then_the_new_ones_alone(kiosk: RenewedKiosk):
    """A rollover: the new root beside the old one, the broker changes, the old one goes."""
    old, new = kiosk.authority, Authority("New root")
    async with kiosk.life() as renewal:
        kiosk.gate.roots = {old.pem, old.pem + new.pem}
        result = await renewal.install(CertificateInstall(roots=new.pem.decode()), say)
        assert result["roots"] == 2
        kiosk.gate.roots = {old.pem + new.pem, new.pem}
        alone = CertificateInstall(roots=new.pem.decode(), replace_roots=True)
        assert (await renewal.install(alone, say))["roots"] == 1
        assert await renewal.outcome(alone)


async def test_roots_that_do_not_know_the_broker(kiosk: RenewedKiosk):
    kiosk.gate.roots = {kiosk.authority.pem}
    wrong = Authority("Wrong root").pem.decode()
    async with kiosk.life() as renewal:
        with pytest.raises(ActionError, match=r"went back.*not trusted"):
            await renewal.install(CertificateInstall(roots=wrong, replace_roots=True), say)
        assert await kiosk.until_online() == kiosk.old


async def test_settings_that_name_files_of_their_own(kiosk: RenewedKiosk):
    """What a person put into the settings is that person's to renew."""
    async with kiosk.life() as renewal:
        assert renewal.missing() is None
        kiosk.tls = TlsSettings(ca=Path("/ca.pem"))
        assert renewal.missing() is None
        roots = CertificateInstall(roots=kiosk.authority.pem.decode())
        with pytest.raises(ActionError, match="settings name the roots"):
            await renewal.install(roots, say)
        kiosk.tls = TlsSettings(certificate=Path("/c.pem"), key=Path("/k.pem"))
        assert "settings name the certificate" in (renewal.missing() or "")
        kiosk.tls = None
        assert "no [link.tls]" in (renewal.missing() or "")


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
@pytest.mark.parametrize("step", range(4))
async def test_power_cut_at_each_step(kiosk: RenewedKiosk, step: int, *, good: bool):
    """The next life ends the trial: a good certificate stays, a bad one goes; a line comes."""
    async with kiosk.life() as renewal:
        await kiosk.until_online()
        order = await kiosk.order(renewal)
        assert order.certificate is not None
        new = order.certificate.encode()
        if good:
            kiosk.gate.admits.add(new)
        kiosk.mains.cuts = [step]
        with suppress(ActionError), pytest.raises(PowerCutError):
            await renewal.install(order, say)
    async with kiosk.life() as renewal:
        try:
            await renewal.outcome(order)
        except ActionError:
            expected = kiosk.old
        else:
            expected = new
        assert await kiosk.until_online() == expected
        assert not await asyncio.to_thread(kiosk.files.on_trial)
    if not good:
        assert expected == kiosk.old
