"""A private D-Bus with mocked system services (python-dbusmock of the machine's own Python)."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

from telemetry.dbus import ask

SYSTEM_PYTHON = "/usr/bin/python3"

CONFIG = """<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class PrivateBus:
    """The bus of one test."""

    def __init__(self, address: str, stack: ExitStack):
        self.address = address
        self._stack = stack

    async def mock(self, service: str, *args: str) -> None:
        """Run ``python -m dbusmock args`` until the end, from when it owns the name ``service``."""
        process = subprocess.Popen(  # noqa: ASYNC220  # quick, and nothing else runs meanwhile
            [SYSTEM_PYTHON, "-m", "dbusmock", "--session", *args],
            env={"DBUS_SESSION_BUS_ADDRESS": self.address, "PATH": "/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        while not (await ask(*bus, "NameHasOwner", service, bus_address=self.address))[0]:
            assert process.poll() is None, "dbusmock ended"

    async def add_object(
        self, service: str, manager: str, path: str, interface: str, properties: dict[str, Variant]
    ) -> None:
        """Add an object to a mocked service."""
        await self._tell(
            service, manager, "AddObject", "ssa{sv}a(ssss)", [path, interface, properties, []]
        )

    async def add_method(
        self,
        service: str,
        path: str,
        name: str,
        code: str,
        *,
        interface: str | None = None,
        arguments: str = "",
    ) -> None:
        """Add a method written in Python, to the service's main interface where none is named."""
        body = [interface or service, name, arguments, "", code]
        await self._tell(service, path, "AddMethod", "sssss", body)

    async def calls(self, service: str, path: str) -> list[tuple[int, str, list[Any]]]:
        """Every call to a mocked object so far: time, method, arguments."""
        (calls,) = await self._tell(service, path, "GetCalls", "", [])
        return [
            (time, name, [value.value for value in arguments]) for time, name, arguments in calls
        ]

    async def _tell(
        self, service: str, path: str, member: str, signature: str, body: list[Any]
    ) -> list[Any]:
        bus = await MessageBus(self.address).connect()
        reply = await bus.call(
            Message(
                destination=service,
                path=path,
                interface="org.freedesktop.DBus.Mock",
                member=member,
                signature=signature,
                body=body,
            )
        )
        bus.disconnect()
        await bus.wait_for_disconnect()
        assert reply is not None
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body
        return reply.body


@contextmanager
def private_bus() -> Iterator[PrivateBus]:
    """Run a dbus-daemon; skips the test where the machine has none, or no dbusmock."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    if shutil.which(SYSTEM_PYTHON) is None:
        pytest.skip(f"{SYSTEM_PYTHON} is not installed")
    have = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import dbusmock"], capture_output=True, check=False
    )
    if have.returncode:
        pytest.skip("python3-dbusmock is not installed")
    with ExitStack() as stack:
        # The path of a socket has room for 107 characters only: no tmp_path here.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bus-")))
        config = folder / "bus.conf"
        config.write_text(CONFIG.format(socket=folder / "bus"), encoding="ascii")
        daemon = stack.enter_context(
            subprocess.Popen(
                ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(daemon.terminate)
        assert daemon.stdout is not None
        yield PrivateBus(daemon.stdout.readline().strip(), stack)
