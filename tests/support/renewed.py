"""A kiosk that is nothing but its link and its identity, and a broker that looks at that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.provision.certificate import Chain
from agent.provision.folder import IdentityFolder
from agent.provision.renewal import Renewal
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
)
from telemetry.voice import Birth
from tests.support.authority import Authority
from tests.support.clock import START, ManualClock
from tests.support.configured import Mains
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
        self.authority = Authority("Root", since=START - timedelta(days=1))
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
        self.renewing = asyncio.create_task(renewal.run())
        tasks = [
            asyncio.create_task(outbox.run()),
            self.renewing,
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
