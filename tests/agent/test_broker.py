"""The embedded broker: its port, its end."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.broker import HOST, EmbeddedBroker, free_port

ROOT = Path(__file__).parents[2]
SOON_S = 10.0


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def test_port_is_kept_over_a_restart():
    """A broker that is stopped and started again is where it was."""
    broker = EmbeddedBroker()
    with broker:
        port = broker.port
        assert listens(port)
        broker.stop()
        broker.stop()
        assert not listens(port)
        broker.start()
        assert (broker.port, listens(port)) == (port, True)
    assert not listens(port)


def test_port_in_use_is_said():
    """A port that somebody else has is an error at once."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            EmbeddedBroker(other.getsockname()[1]).start()


def test_only_this_machine_can_connect():
    """It listens on the loopback address and nowhere else."""
    with EmbeddedBroker() as broker:
        listening = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
        addresses = [line.split()[1] for line in listening if line.split()[3] == "0A"]
        assert [one for one in addresses if one.endswith(f":{broker.port:04X}")] == [
            f"0100007F:{broker.port:04X}"
        ]


def test_broker_ends_with_its_process():
    """Even when the process that started it is killed, the broker does not stay behind."""
    port = free_port()
    program = (
        "import time; from agent.broker import EmbeddedBroker; "
        f"EmbeddedBroker({port}).start(); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert listens(port)
        process.kill()
    deadline = time.monotonic() + SOON_S
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)
