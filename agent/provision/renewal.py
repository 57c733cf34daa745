"""Renewal: a new certificate, or new roots, stay when one real connection with them succeeded.

What is on trial lies beside what is in force (:mod:`agent.provision.folder`), and the link
connects with it. One task ends each trial, whoever waits for that or does not any more. Where the
power ends it the identity works all the same, and at the next start the trial goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import structlog
from cryptography import x509

from agent.errors import CertificateError
from agent.provision.certificate import MAX_ROOTS, Chain, read_certificates
from agent.provision.folder import IdentityFolder
from commands.action import Result
from commands.actions.certificate import Say
from commands.errors import ActionError
from contract import Clock
from contract.actions import CertificateInstall
from contract.wire import format_time
from telemetry.link import Link
from telemetry.settings import TlsSettings
from telemetry.transport import NotAuthorisedError, TlsDatesError, TlsError

TRIAL_S = 120.0
"""Without a line by then, what is on trial goes back."""
LOOK_S = 0.25
_OTHER_ROOTS = "the settings name the roots ([link.tls] ca); change them there"

T = TypeVar("T")
_End = asyncio.Future[Exception | None]
"""Of a trial; with what went wrong."""

_log = structlog.get_logger()


class Renewal:
    """Implements :class:`commands.actions.certificate.Certificates`.

    Args:
        folder: the kiosk's identity.
        kiosk: its id.
        tls: the link's settings in force.
        link: the line to the broker.
        reconnect: breaks the line and begins anew; returns :attr:`Link.connects` of before.
        clock: the time of trials and certificates.
    """

    def __init__(
        self,
        folder: IdentityFolder,
        *,
        kiosk: str,
        tls: Callable[[], TlsSettings | None],
        link: Link,
        reconnect: Callable[[], Awaitable[int]],
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._kiosk = kiosk
        self._tls = tls
        self._link = link
        self._reconnect = reconnect
        self._clock = clock
        self._orders: asyncio.Queue[tuple[CertificateInstall, _End]] = asyncio.Queue()
        self._settled = asyncio.Event()
        """Nothing is on trial, and nothing is about to be."""
        self._before: int | None = 0
        """Connections that did not show what is on trial; ``None``: unknown, so begin a new one."""
        self._why = ""
        """Why the last order is not in force."""

    async def run(self) -> None:
        """Prove what an earlier life left on trial, then what is ordered; start it again freely.

        Nobody else does: a command may be cancelled, and its trial has to come to an end.
        """
        if not self._settled.is_set():
            await self._conclude()
        while True:
            if self._orders.empty():
                self._settled.set()
            order, end = await self._orders.get()
            try:
                await self._try(order)
            except Exception as error:  # noqa: BLE001 - told to who waits, or asks later
                self._why = self._why or str(error)
                end.set_result(error)
            else:
                end.set_result(None)

    def missing(self) -> str | None:
        """Why there is nothing to renew here, in a sentence."""
        tls = self._tls()
        if tls is None:
            return "the link has no [link.tls], and so no certificate"
        if tls.certificate is not None:
            return "the settings name the certificate ([link.tls] certificate); renew it there"
        return None

    async def request(self) -> Result:
        """Return the open request; without one, make it."""
        await self._settled.wait()
        requested = await self._in_thread(lambda: self._folder.next_request(self._kiosk))
        return requested.model_dump(exclude_none=True)

    async def install(self, order: CertificateInstall, say: Say) -> Result:
        """Put what was ordered on trial; returns when it is in force."""
        await self._settled.wait()
        await say("it is checked, then tried")
        end: _End = asyncio.get_running_loop().create_future()
        self._settled.clear()
        self._orders.put_nowait((order, end))
        if error := await asyncio.shield(end):
            raise error
        return await self._in_thread(self._in_force)

    async def outcome(self, order: CertificateInstall) -> Result:
        """Wait for the end of a trial that nobody waited for: of an earlier life, or of this."""
        await self._settled.wait()
        if not await self._in_thread(lambda: self._has(order)):
            why = self._why or "it was broken off before the trial began, or on the way back"
            msg = f"it is not in force: {why}"
            raise ActionError(msg, code="interrupted")
        return await self._in_thread(self._in_force)

    # -- steps -----------------------------------------------------------------------------

    async def _try(self, order: CertificateInstall) -> None:
        """Put what was ordered on trial and end that; raises where the old stays in force."""
        self._before, self._why = None, ""
        await self._in_thread(lambda: self._begin(order))
        await self._conclude()
        if self._why:
            msg = f"it went back, the one before is in force: {self._why}"
            raise ActionError(msg)

    async def _conclude(self) -> None:
        """End what is on trial, if anything is."""
        try:
            if not await asyncio.to_thread(self._folder.on_trial):
                return
            _log.info("certificate_on_trial")
            self._why = await self._prove()
        except Exception as error:  # noqa: BLE001 - whatever it is, the line must come back
            _log.exception("certificate_trial_failed")
            self._why = f"{type(error).__name__}: {error}"
        if self._why:
            await self._go_back(self._why)

    def _begin(self, order: CertificateInstall) -> None:
        folder, settings = self._folder, self._tls()
        roots = None
        present = folder.roots()
        if order.roots is not None:
            if settings is not None and settings.ca is not None:
                raise CertificateError(_OTHER_ROOTS)
            roots = read_certificates(order.roots.encode(), limit=MAX_ROOTS)
            roots = self._united(present, roots, replace=order.replace_roots)
        chain = None if order.certificate is None else Chain.read(order.certificate.encode())
        if chain is not None:
            trusted = present if roots is None else roots
            chain.check(kiosk=self._kiosk, roots=trusted, now=self._now())
        try:
            folder.begin_trial(chain, roots)
        except OSError:
            folder.end_trial()
            raise

    @staticmethod
    def _united(
        present: tuple[x509.Certificate, ...],
        given: tuple[x509.Certificate, ...],
        *,
        replace: bool,
    ) -> tuple[x509.Certificate, ...]:
        if replace:
            return given
        if not present:
            msg = "this kiosk trusts the system's roots; only replace_roots puts others there"
            raise CertificateError(msg)
        united = tuple(dict.fromkeys((*present, *given)))
        if len(united) > MAX_ROOTS:
            msg = f"{len(united)} roots, and at most {MAX_ROOTS} are taken; replace them"
            raise CertificateError(msg)
        return united

    async def _prove(self) -> str:
        """Let what is on trial stay once a connection showed it; or return why not."""
        with_roots = await asyncio.to_thread(self._folder.roots_on_trial)
        if why := self._unused(with_roots=with_roots):
            return why
        if self._before is None:
            self._before = await self._reconnect()
        if why := await self._line_after(self._before):
            return why
        if why := self._unused(with_roots=with_roots):  # settings were pushed meanwhile
            return why
        try:
            await asyncio.to_thread(self._folder.take_over)
        except OSError as error:
            if await asyncio.to_thread(self._folder.on_trial):
                return f"it is good, and that cannot be recorded: {error}"
            _log.warning("certificate_taken_over_later", reason=str(error))
        _log.info("certificate_in_force")
        return ""

    def _unused(self, *, with_roots: bool) -> str | None:
        """Why a connection proves nothing of what is on trial: the settings name other files."""
        tls = self._tls()
        if with_roots and tls is not None and tls.ca is not None:
            return _OTHER_ROOTS
        return self.missing()

    async def _line_after(self, connects: int) -> str | None:
        """Wait for a connection after so many; or return why there is none."""
        link, until, by_a_wrong_clock = self._link, self._clock.monotonic() + TRIAL_S, None
        while link.connects <= connects:
            error = link.last_error
            if isinstance(error, TlsError | NotAuthorisedError) and not error.retryable:
                return str(error)
            if isinstance(error, TlsDatesError) and self._now() is None:
                by_a_wrong_clock = error
            if error is not None and error is by_a_wrong_clock:
                # Says nothing of the trial, also until the link tries again by the right time.
                until = self._clock.monotonic() + TRIAL_S
            if self._clock.monotonic() >= until:
                return f"no line within {TRIAL_S:g} s: {error or link.state}"
            await self._clock.sleep(LOOK_S)
        return None

    def _now(self) -> datetime | None:
        """The time; ``None`` where the clock is not to be trusted."""
        now = self._clock.stamp()
        return now.time if now.time_quality == "synced" else None

    async def _go_back(self, why: str) -> None:
        _log.warning("certificate_went_back", reason=why)
        try:
            await asyncio.to_thread(self._folder.end_trial)
        except OSError:  # the next start takes it up again
            _log.exception("certificate_stays_on_trial")
        await self._reconnect()

    def _has(self, order: CertificateInstall) -> bool:
        """Whether what was ordered is in force."""
        folder = self._folder
        if folder.on_trial():
            return False
        if order.certificate is not None:
            chain = folder.chain()
            if chain is None or chain.pem != Chain.read(order.certificate.encode()).pem:
                return False
        if order.roots is None:
            return True
        given = set(read_certificates(order.roots.encode(), limit=MAX_ROOTS))
        present = set(folder.roots())
        return given == present if order.replace_roots else given <= present

    def _in_force(self) -> Result:
        chain = self._folder.chain()
        known = {} if chain is None else _told(chain)
        return {**known, "roots": len(self._folder.roots())}

    @staticmethod
    async def _in_thread(work: Callable[[], T]) -> T:
        """Do what blocks; what goes wrong is told to the operator."""
        try:
            return await asyncio.to_thread(work)
        except CertificateError as error:
            raise ActionError(str(error)) from None
        except OSError as error:
            msg = f"the identity's files: {error}"
            raise ActionError(msg, code="storage") from None


def _told(chain: Chain) -> Result:
    return {"serial": chain.serial, "not_after": format_time(chain.not_after)}
