"""Renewal: what gives a line stays, what does not goes back, whenever the power fails."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.provision.certificate import Chain
from agent.provision.renewal import TRIAL_S
from commands.errors import ActionError
from contract.actions import CertificateInstall
from telemetry.settings import TlsSettings
from telemetry.transport import TlsDatesError, UnreachableError
from tests.support.authority import Authority
from tests.support.clock import START
from tests.support.configured import PowerCutError
from tests.support.renewed import RenewedKiosk


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
async def test_trial_ends_when_nobody_waits_for_it(kiosk: RenewedKiosk, *, good: bool):
    """A command may be cancelled, by a fault elsewhere or its limit: its trial goes on."""
    kiosk.gate.refusal = UnreachableError("no answer")
    async with kiosk.life() as renewal:
        await kiosk.until_online()
        order = await kiosk.order(renewal)
        assert order.certificate is not None
        new = order.certificate.encode()
        installing = asyncio.create_task(renewal.install(order, say))
        while new not in kiosk.gate.shown:
            await asyncio.sleep(0.001)
        installing.cancel()
        if good:
            kiosk.gate.admits.add(new)
            await renewal.outcome(order)
        else:
            with pytest.raises(ActionError, match="not in force: no line within 120 s: no answer"):
                await renewal.outcome(order)
        assert await kiosk.until_online() == (new if good else kiosk.old)
        assert not await asyncio.to_thread(kiosk.files.on_trial)


async def on_trial(kiosk: RenewedKiosk, *roots: Authority) -> CertificateInstall:
    """The power fails as soon as a certificate is on trial; returns its order."""
    async with kiosk.life() as renewal:
        order = await kiosk.order(renewal)
    assert order.certificate is not None
    chain = Chain.read(order.certificate.encode())
    trusted = [kiosk.authority.certificate, *(one.certificate for one in roots)]
    await asyncio.to_thread(kiosk.files.begin_trial, chain, trusted if roots else None)
    return order


async def passes(kiosk: RenewedKiosk, seconds: float) -> None:
    end = kiosk.clock.monotonic() + seconds
    while kiosk.clock.monotonic() < end:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("late", [False, True], ids=["in time", "too late"])
async def test_start_in_1970_during_a_trial(kiosk: RenewedKiosk, *, late: bool):
    """What a wrong clock has against the broker says nothing of what is on trial."""
    order = await on_trial(kiosk)
    assert order.certificate is not None
    kiosk.clock.quality = "unsynced"
    kiosk.gate.admits.clear()
    kiosk.gate.refusal = TlsDatesError("not yet valid by this machine's clock")
    async with kiosk.life() as renewal:
        await passes(kiosk, 4 * TRIAL_S)
        kiosk.clock.quality = "synced"
        if late:  # not valid by the right time either: now it counts
            kiosk.gate.refusal = TlsDatesError("has expired")
            with pytest.raises(ActionError, match="no line within 120 s: has expired"):
                await renewal.outcome(order)
            return
        kiosk.gate.admits = {kiosk.old, order.certificate.encode()}
        await renewal.outcome(order)
        assert await kiosk.until_online() == order.certificate.encode()


@pytest.mark.parametrize("what", ["certificate", "roots"])
async def test_settings_name_other_files_than_those_on_trial(
    kiosk: RenewedKiosk, tmp_path: Path, what: str
):
    """A connection that does not show what is on trial proves nothing of it."""
    order = await on_trial(kiosk, *([Authority("New root")] if what == "roots" else []))
    mine = TlsSettings(certificate=tmp_path / "c.pem", key=tmp_path / "k.pem")
    kiosk.tls = TlsSettings(ca=tmp_path / "ca.pem") if what == "roots" else mine
    assert order.certificate is not None
    kiosk.gate.admits.add(order.certificate.encode())
    async with kiosk.life() as renewal:
        with pytest.raises(ActionError, match=f"not in force: the settings name the {what}"):
            await renewal.outcome(order)
        assert await kiosk.until_online() == kiosk.old
    assert not await asyncio.to_thread(kiosk.files.on_trial)


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
        installing = asyncio.create_task(renewal.install(order, say))
        await asyncio.wait({kiosk.renewing})
        assert isinstance(kiosk.renewing.exception(), PowerCutError)
        installing.cancel()
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
