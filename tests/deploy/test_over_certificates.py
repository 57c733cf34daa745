"""The agent and the operator's command line at the shipped broker, with certificates of the CA."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.transport import TlsOptions
from tests.agent.conftest import BIN, AgentProcess
from tests.support.deployed_broker import Authorities, DeployedBroker


def tls_table(tls: TlsOptions) -> str:
    return f'[link.tls]\nca = "{tls.ca}"\ncertificate = "{tls.certificate}"\nkey = "{tls.key}"\n'


@pytest.fixture
def broker(tmp_path) -> Iterator[DeployedBroker]:
    authorities = Authorities(tmp_path / "authorities")
    with DeployedBroker(tmp_path / "broker", authorities, "websockets.conf") as broker:
        yield broker


def kioskctl(broker: str, tls: TlsOptions, *words: str | Path):
    options = ("--ca", tls.ca, "--certificate", tls.certificate, "--certificate-key", tls.key)
    return subprocess.run(
        [BIN / "kioskctl", "--broker", broker, *options, *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_kiosk_in_service(tmp_path, broker):
    """It comes online; orders come in over TLS and WebSocket; who may not order is told so."""
    wang = broker.authorities.certify("wang", "operator")
    viewer = broker.authorities.certify("zhao", "viewer")
    kiosk = broker.authorities.certify("k1")
    broker.write_files()
    broker.stop()
    broker.start()
    agent = AgentProcess(tmp_path / "agent", broker.ports.kiosks, tls_table(kiosk))
    try:
        agent.start()
        agent.status_when(lambda status: status["link"]["state"] == "online")
        order = ("send", "k1", "ping", "--key", agent.key_file, "--json")
        for url in (
            f"mqtts://127.0.0.1:{broker.ports.people}",
            f"wss://127.0.0.1:{broker.ports.web}",
        ):
            done = kioskctl(url, wang, *order)
            assert done.returncode == 0, done.stderr
        people = f"mqtts://127.0.0.1:{broker.ports.people}"
        seen = kioskctl(people, viewer, "watch", "--json", "--seconds", "2")
        row = json.loads(seen.stdout.splitlines()[-1])
        assert (row["kiosk"], row["state"]) == ("k1", "online")
        settings = tmp_path / "night.toml"
        settings.write_text("[health]\ninterval_s = 5\n")
        push = ("config", "push", "k1", settings, "--retain", "--key", agent.key_file)
        for words, suffix in ((order, "command"), (push, "config")):
            denied = kioskctl(people, viewer, *words)
            assert denied.returncode == 6
            assert denied.stderr.endswith(
                f"the broker did not take what was to go to kiosk/v1/k1/down/{suffix}: "
                "this user or certificate may not write there\n"
            )
    finally:
        agent.close()


def test_a_kiosk_with_anothers_certificate(tmp_path, broker):
    """What it says under a name that is not its own stays with it; the status says why."""
    other = broker.authorities.certify("k2")
    agent = AgentProcess(tmp_path / "agent", broker.ports.kiosks, tls_table(other), kiosk="k1")
    try:
        agent.start()
        status = agent.status_when(lambda status: status["link"]["last_error"] is not None)
        assert status["link"]["last_error"] == (
            "the broker does not let this kiosk write kiosk/v1/k1/up/state (reason 0x87); "
            "check its rights"
        )
    finally:
        agent.close()
