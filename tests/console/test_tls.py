"""A broker that does not agree with the certificates: why, at once, and in a sentence."""

import asyncio
import re

import pytest

from telemetry.transport import TlsOptions
from tests.console.conftest import Kioskctl
from tests.support.authority import Authority
from tests.support.brokers import Mosquitto
from tests.support.deployed_broker import Authorities, DeployedBroker

NEVER = "the broker was not reached within"


@pytest.fixture
def broker(tmp_path):
    """Wants a certificate of the people's CA."""
    people, devices = Authority("People"), Authority("Devices")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    (tmp_path / "devices.pem").write_bytes(devices.pem)
    (tmp_path / "people.pem").write_bytes(people.pem)
    certificates = devices.broker(tmp_path / "server", [people])
    people.client(tmp_path / "people", "wang")
    devices.client(tmp_path / "devices", "k-1")
    with Mosquitto(folder, tls=certificates, client_certificate=True) as broker:
        yield broker


def certified(folder: str, name: str) -> list[str]:
    return ["--certificate", f"{folder}/{name}.crt", "--certificate-key", f"{folder}/{name}.key"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--ca", "devices.pem"],
            r"wants a client certificate \(--certificate\): certificate required",
        ),
        (
            ["--ca", "devices.pem", *certified("devices", "k-1")],
            r"refused the certificate devices/k-1\.crt: unknown ca; perhaps this is not the port",
        ),
        (
            ["--ca", "people.pem", *certified("people", "wang")],
            r": its certificate is not trusted here \(--ca\): ",
        ),
    ],
    ids=["none", "unknown", "untrusted"],
)
@pytest.mark.parametrize(
    "words",
    [
        ["send", "k-1", "ping"],
        ["config", "push", "k-1", "new.toml", "--retain", "--version", "1"],
        ["events", "k-1"],
        ["config", "show", "k-1"],
    ],
    ids=lambda words: "-".join(words[:2]),
)
async def test_it_is_told_at_once(*, tmp_path, broker, key_file, options, said, words):
    """Trying again would not help: it ends with the reason, and as without a broker."""
    (tmp_path / "new.toml").write_text("[health]\ninterval_s = 5\n")
    kioskctl = Kioskctl(tmp_path, 0)
    url = f"mqtts://127.0.0.1:{broker.port}"
    signed = ["--key", key_file] if words[0] == "send" or "push" in words else []
    async with asyncio.timeout(20):
        done = await kioskctl("--broker", url, *options, *words, *signed)
    assert done.code == 6
    assert re.search(f"^kioskctl: broker 127.0.0.1:{broker.port} ?{said}", done.errors), done.errors
    assert "trying again" not in done.errors
    assert NEVER not in done.errors


@pytest.fixture
def shipped(tmp_path):
    """The broker as it is shipped."""
    authorities = Authorities(tmp_path / "authorities")
    with DeployedBroker(tmp_path / "broker", authorities, "websockets.conf") as broker:
        yield broker


async def test_a_certificate_that_was_revoked(tmp_path, key_file, shipped):
    """It says so; over WebSocket Mosquitto looks at the CA alone."""

    def certified() -> tuple[TlsOptions, TlsOptions]:
        wang, kiosk = shipped.certify(("wang", "operator"), ("k-1", "kiosk"))
        shipped.revoke("operator.wang")
        return wang, kiosk

    wang, kiosk = await asyncio.to_thread(certified)
    for url, tls, why in (
        (f"mqtts://127.0.0.1:{shipped.ports.people}", wang, "certificate revoked"),
        (f"wss://127.0.0.1:{shipped.ports.web}", kiosk, "unknown ca"),
    ):
        done = await Kioskctl(tmp_path, 0)(
            *("--broker", url, "--ca", str(tls.ca), "--certificate", str(tls.certificate)),
            *("--certificate-key", str(tls.key), "send", "k-1", "ping", "--key", key_file),
        )
        assert done.code == 6
        assert f"refused the certificate {tls.certificate}: {why}" in done.errors
        assert NEVER not in done.errors


async def test_a_broker_that_hangs_up_is_tried_again(tmp_path, broker, key_file):
    """Without TLS where TLS is wanted, it answers nothing; nobody waits ten seconds for that."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    words = ("--broker", url, "send", "k-1", "ping", "--key", key_file, "--timeout", "1.5")
    done = await Kioskctl(tmp_path, 0)(*words)
    assert done.code == 6
    assert "closed the connection without an answer; it may want TLS (mqtts://)" in done.errors
    assert f"{NEVER} 1.5 s; nothing was sent" in done.errors
