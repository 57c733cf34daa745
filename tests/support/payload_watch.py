"""Has every payload that leaves a kiosk in a test scanned; a fixture fails the test that leaks.

Scanned are: messages as they are sealed, and as a transport sends or a client in the test receives
them; archives and pictures that actions send; log lines; logs and state folders of agents. The one
picture that may leave is that of a ``snapshot``: with faces hidden, or signed by two persons.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.payload_scanner import find, find_in_file, scan

_MAX_FILE_BYTES = 32 * 2**20
_found: list[list[str]] = []
"""What was found, of each watch that is under way; the innermost is told."""
_wrapped: set[tuple[str, str]] = set()


@contextmanager
def watching() -> Iterator[list[str]]:
    """Collect what is found in all that leaves inside the block."""
    _wrap_all()
    _found.append([])
    try:
        yield _found[-1]
    finally:
        _found.pop()


@pytest.fixture(autouse=True)
def no_biometrics_leave(request: pytest.FixtureRequest) -> Iterator[None]:
    """A picture or vector of a face in anything that leaves a kiosk fails the test."""
    with watching() as found:
        yield
        folder = request.node.funcargs.get("tmp_path")
        if folder is not None and request.path.is_relative_to(Path(__file__).parents[1] / "agent"):
            found.extend(in_folder(folder))
    if found:
        pytest.fail("left the kiosk: " + "; ".join(found[:8]), pytrace=False)


def in_folder(folder: Path) -> list[str]:
    """Scan logs, databases and what lies in state folders."""
    return [
        finding
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and ("state" in path.relative_to(folder).parts or path.suffix in {".log", ".db"})
        and not path.name.endswith(("-wal", "-shm"))
        and "releases" not in path.relative_to(folder).parts  # programs, and no data of anybody
        and path.stat().st_size <= _MAX_FILE_BYTES
        for finding in find_in_file(path)
    ]


def _tell(findings: Iterator[str] | list[str], source: str) -> None:
    if _found:
        _found[-1].extend(f"{source}{finding}" for finding in findings)


def _wrap_all() -> None:
    """Put the scanner before each door that is imported by now."""
    _wrap("contract.message", "Sealed", _scan_sealed)
    _wrap("telemetry.mqtt", "MqttConnection.publish", _scan_sent)
    _wrap("tests.support.fake_line", "FakeConnection.publish", _scan_sent)
    _wrap("paho.mqtt.client", "Client._handle_on_message", _scan_received)
    _wrap("structlog._base", "BoundLoggerBase._process_event", _scan_logged)
    for action in ("snapshot", "diagnostics", "log"):
        _wrap(f"commands.actions.{action}", "send", _scan_media)


def _wrap(module: str, name: str, look: Callable[..., None]) -> None:
    """Have ``look`` called with the arguments of a call before it is made."""
    if (module, name) in _wrapped or module not in sys.modules:
        return
    *path, attribute = name.split(".")
    holder: Any = functools.reduce(getattr, path, sys.modules[module])
    original = getattr(holder, attribute)

    @functools.wraps(original, updated=())
    def looked_at(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(holder, attribute, looked_at)
    _wrapped.add((module, name))


def _scan_sealed(*, id: str, payload: bytes) -> None:  # noqa: A002 - as the class has it
    _tell(scan(payload), "message")


def _scan_sent(_connection: object, topic: str, payload: bytes, **_: Any) -> None:
    if "/up/media/" not in topic:
        _tell(scan(payload), topic)


def _scan_received(_client: object, message: Any) -> None:
    if "/up/" in message.topic and "/up/media/" not in message.topic:
        _tell(scan(message.payload), message.topic)


def _scan_media(_send: object, invocation: Any, payload: bytes, _type: str) -> None:
    command = invocation.command
    may_be_picture = command.action == "snapshot" and (
        command.args.get("blur", True) or len(invocation.signers) >= 2
    )
    if not may_be_picture:
        _tell(find(payload), f"up/media of {command.action}")


def _scan_logged(logger: Any, _method: str, event: Any, event_kw: dict[str, Any]) -> None:
    said = {**logger._context, **event_kw}
    _tell(find(f"{event} {said!r}"), "log line")
    _tell(find(said), "log line")
