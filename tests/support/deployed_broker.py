"""Mosquitto as it is shipped: deploy/mosquitto with other paths and ports, and its two CAs."""

import asyncio
import contextlib
import datetime as dt
import os
import random
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from agent.broker import HOST
from bench.rig.mosquitto import MosquittoProcess
from console.ca import CertificateAuthority
from console.ca_acl import mosquitto_acl
from console.ca_index import Role
from console.ca_request import make_request
from telemetry.mqtt import MqttTransport
from telemetry.transport import Connection, ConnectOptions, Incoming, TlsOptions
from tests.support.brokers import need_mosquitto

DEPLOY = Path(__file__).parents[2] / "deploy"
SOON_S = 10.0
_PASSPHRASE = "a passphrase of the tests"


def _port() -> int:
    """Return a port that no outgoing connection gets by chance while the broker is down."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


@dataclass(frozen=True)
class Ports:
    """Where the shipped configuration listens."""

    kiosks: int = field(default_factory=_port)
    people: int = field(default_factory=_port)
    web: int = field(default_factory=_port)


def _last_month() -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=30)


class Authorities:
    """One CA for kiosks, brokers and bridges, one for people and services."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0
        for name in ("kiosks", "people"):
            CertificateAuthority.create(folder / name, name, _PASSPHRASE, now=_last_month)
        self.kiosks, self.people = (
            CertificateAuthority.open(folder / name, _PASSPHRASE) for name in ("kiosks", "people")
        )

    def of(self, role: Role) -> CertificateAuthority:
        return self.kiosks if role in {"kiosk", "bridge", "server"} else self.people

    def certify(self, name: str, role: Role = "kiosk") -> TlsOptions:
        """Make key and certificate; the broker learns of it with its next files."""
        private, request = make_request(name)
        return self._write(role, private, self.of(role).sign(request, role=role))

    def certify_server(self) -> TlsOptions:
        """Make the broker's own key and certificate."""
        private, request = make_request("broker")
        return self._write("server", private, self.kiosks.sign_server(request, [HOST]))

    def certify_in_the_past(
        self, name: str, role: Role, now: Callable[[], dt.datetime]
    ) -> TlsOptions:
        """Make a certificate of another day, good for a day."""
        folder = self.folder / ("kiosks" if self.of(role) is self.kiosks else "people")
        authority = CertificateAuthority.open(folder, _PASSPHRASE, now=now)
        private, request = make_request(name)
        return self._write("past", private, authority.sign(request, role=role, days=1))

    def _write(self, what: str, private: bytes, pem: bytes) -> TlsOptions:
        self._made += 1
        file = self.folder / f"{self._made}-{what}"
        key, certificate = file.with_suffix(".key"), file.with_suffix(".pem")
        key.write_bytes(private)
        key.chmod(0o600)
        certificate.write_bytes(pem)
        return TlsOptions(self.folder / "kiosks" / "root.pem", certificate, key)


class DeployedBroker(MosquittoProcess):
    """A broker with the shipped configuration, and files in its conf.d that were asked for."""

    def __init__(self, folder: Path, authorities: Authorities, *more: str) -> None:
        need_mosquitto()
        self.folder = folder
        self.ports = Ports()
        self.authorities = authorities
        self.conf_d = folder / "conf.d"
        self.files = folder / "kiosk"
        for part in (self.conf_d, self.files, folder / "data"):
            part.mkdir(parents=True)
        server = authorities.certify_server()
        assert server.certificate is not None
        assert server.key is not None
        (self.files / "server.pem").write_bytes(server.certificate.read_bytes())
        (self.files / "server.key").write_bytes(server.key.read_bytes())
        self.write_files()
        for name in more:
            text = self.relocated((DEPLOY / "mosquitto" / name).read_text(encoding="utf-8"))
            (self.conf_d / name).write_text(text, encoding="utf-8")
        text = self.relocated((DEPLOY / "mosquitto/mosquitto.conf").read_text(encoding="utf-8"))
        text = f"log_type information\n{text}"  # that it runs
        if os.geteuid() == 0:
            text = f"user root\n{text}"  # else it changes to a user who cannot read our files
        super().__init__(folder, text, self.ports.kiosks)

    def start(self) -> Self:
        """Return when it takes connections at every port (blocks)."""
        super().start()
        self.await_log(" running", self.starts)
        return self

    def restart(self) -> None:
        """As after a change of its files: it does not survive a reload."""
        self.stop()
        self.start()

    def relocated(self, text: str) -> str:
        """Return a shipped file with our folders and ports instead of those of a machine."""
        for shipped, ours in (
            ("/etc/mosquitto/", f"{self.folder}/"),
            ("/run/mosquitto/", f"{self.folder}/"),
            ("/var/lib/mosquitto/", f"{self.folder}/data/"),
            ("listener 8883\n", f"listener {self.ports.kiosks} {HOST}\n"),
            ("listener 8884\n", f"listener {self.ports.people} {HOST}\n"),
            # Without the domain a WebSocket listener of 2.0.11 ignores the address.
            ("listener 8084\n", f"listener {self.ports.web} {HOST}\nsocket_domain ipv4\n"),
        ):
            text = text.replace(shipped, ours)
        listeners = re.findall(r"^listener .*$", text, re.MULTILINE)
        assert all(line.endswith(f" {HOST}") for line in listeners), listeners
        return text

    def write_files(self) -> None:
        """Write what follows from the CAs: roots, revocation lists, rights."""
        issued = []
        for name, authority in (
            ("kiosks", self.authorities.kiosks),
            ("people", self.authorities.people),
        ):
            (self.files / f"{name}-roots.pem").write_bytes(authority.root_pem)
            (self.files / f"{name}-crl.pem").write_bytes(authority.crl())
            issued += authority.issued()
        (self.files / "acl").write_text(mosquitto_acl(issued, "kiosk/v1", time.time()))

    def certify(self, *holders: tuple[str, Role]) -> list[TlsOptions]:
        """Make certificates, and let the broker know of them."""
        made = [self.authorities.certify(*holder) for holder in holders]
        self.write_files()
        self.restart()
        return made

    def revoke(self, *names: str) -> None:
        """Revoke all that these have, and let the broker know of it."""
        for name in names:
            role = name.partition(".")[0] if "." in name else "kiosk"
            self.authorities.of(cast("Role", role)).revoke(name)
        self.write_files()
        self.restart()


class Client:
    """Somebody at the broker, over the agent's own transport."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @classmethod
    async def connect(
        cls,
        port: int,
        tls: TlsOptions | None,
        *,
        client_id: str = "",
        websocket: bool = False,
        **more: Any,
    ) -> Self:
        options = ConnectOptions(
            HOST,
            port,
            client_id or f"c-{time.monotonic_ns()}",
            tls=tls,
            websocket_path="/mqtt" if websocket else None,
            maximum_packet_size=2**20,
            connect_timeout_s=SOON_S,
            **more,
        )
        return cls(await MqttTransport().connect(options))

    async def listen(self, topic_filter: str) -> None:
        await self.connection.subscribe(topic_filter)

    async def say(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish, and return the reason code of the acknowledgement."""
        acked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.connection.publish(topic, payload, retain=retain, on_ack=acked.set_result)
        return await asyncio.wait_for(acked, SOON_S)

    async def hear(self, last: bytes) -> list[tuple[str, bytes]]:
        """Return what arrives up to the payload ``last``, topics and payloads."""
        return [(one.topic, one.payload) for one in await self.receive(last)]

    async def receive(self, last: bytes) -> list[Incoming]:
        """Return what arrives up to the payload ``last``."""
        heard: list[Incoming] = []
        async with asyncio.timeout(SOON_S):
            while not heard or heard[-1].payload != last:
                message = await self.connection.next_message()
                self.connection.acknowledge(message)
                heard.append(message)
        return heard

    async def waiting(self) -> list[tuple[str, bytes]]:
        """Return what has arrived when the broker answers the next packet, perhaps nothing."""
        await self.say("nowhere", b"")  # its answer comes after all that was sent before
        heard = []
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(0.01):
                    message = await self.connection.next_message()
                heard.append((message.topic, message.payload))
        return heard

    async def close(self) -> None:
        await self.connection.disconnect()
