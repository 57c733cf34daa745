"""The demonstration: a broker, a real agent, and what the operator sees, all on this machine."""

import asyncio
import hashlib
import importlib.util
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from agent.broker import EmbeddedBroker
from agent.demo_visit import Visits
from agent.errors import DemoError
from console import keys
from console.connection import Arrival, follow
from console.fleet import Fleet
from console.order import Draft
from console.send import Ending, Outcome, Sender
from console.settings import ConsoleSettings
from console.view import kiosk_panel
from contract import Envelope, Topics
from contract.events import CameraOnline
from contract.gap import Gap
from contract.health import Health
from contract.keys import KeySet, PrivateKey
from contract.receipt import Receipt
from vision.source import kind_of

KIOSK = "demo"
SCENES = ("street", "counter")
_PORTRAIT = "portrait"
_PLATES = """
[camera.plates]
enabled = true
plain_text_purpose = "demonstration"
"""
_FACES = """
[camera.identity]
enabled = true
"""
ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ping", {"echo": "hello, kiosk"}),
    ("announce", {"text": "请稍候 / One moment, please", "for_s": 10}),
    ("door.lock", {"for_s": 4}),
    ("service.lock", {"text": "暂停服务 / Closed for a moment", "for_s": 4}),
)
"""What the operator asks for, one after the other."""
_ORDER_EVERY_S = 6.0
_COMMAND_TTL_S = 30
_STOP_S = 10.0
_SETTLE_S = 3.0
_POLL_S = 0.05
_REFRESH_S = 0.25
_MIB = 2**20


@dataclass(slots=True)
class Summary:
    """What happened while the demonstration ran."""

    seconds: float = 0.0
    messages: Counter[str] = field(default_factory=Counter)
    """By CloudEvents type."""
    lost_sequence_numbers: int = 0
    admitted_lost: int = 0
    repeated: int = 0
    commands_done: int = 0
    commands_failed: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    """Of who stands before the camera, by outcome."""
    peak_rss_mib: float = 0.0
    """Of the agent's own process."""
    peak_rss_with_cameras_mib: float = 0.0
    agent_exit_status: int | None = None
    _sequences: set[int] = field(default_factory=set)
    _admitted: set[int] = field(default_factory=set)

    def add(self, payload: bytes) -> None:
        """Count a message that arrived."""
        message = json.loads(payload)
        sequence = message.get("sequence")
        if sequence is not None and sequence in self._sequences:
            self.repeated += 1
            return
        self.messages[message["type"]] += 1
        if sequence is not None:
            self._sequences.add(sequence)
        if message["type"] == Gap.TYPE:
            first, last = message["data"]["first_sequence"], message["data"]["last_sequence"]
            self._admitted.update(range(first, last + 1))
            self.admitted_lost += message["data"].get("count") or 0
        self.lost_sequence_numbers = len(self._holes())

    def _holes(self) -> set[int]:
        numbers = range(1, max(self._sequences, default=0) + 1)
        return set(numbers) - self._sequences - self._admitted

    @property
    def camera_events(self) -> int:
        """Motion, presence, plates, and what happened to cameras."""
        kinds = ("camera", "motion", "presence", "plate")
        return sum(
            count
            for type_, count in self.messages.items()
            if type_.split(".")[1] == "event" and type_.split(".")[2] in kinds
        )

    @property
    def complete(self) -> bool:
        """Whether health, events of a camera that sees, and a command's round trip happened."""
        health, seeing = self.messages[Health.TYPE], self.messages[CameraOnline.TYPE]
        return bool(health and seeing and self.commands_done)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON summary."""
        values = {name: value for name, value in asdict(self).items() if name[0] != "_"}
        values["messages"] = dict(sorted(self.messages.items()))
        values["checks"] = dict(sorted(self.checks.items()))
        return {"complete": self.complete, "camera_events": self.camera_events, **values}


def run_demo(*, sources: Sequence[str], seconds: float | None, screen: bool) -> Summary:
    """Run until the time is over or somebody interrupts.

    Args:
        sources: cameras; without any, two clips that the project renders itself.
        seconds: how long, from the moment the agent starts; ``None``: until interrupted.
        screen: whether to show the live view.

    Raises:
        DemoError: a part could not be started.
    """
    demo = _Demo(sources, seconds, Console() if screen else None)
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(demo.run())
    return demo.summary


class _Unseen:
    """The live view shows the receipts as they arrive; there is nothing else to say."""

    def report(self, problem: str | None) -> None:
        """Nothing."""

    def begun(self, kiosk: str) -> None:
        """Nothing."""

    def receipt(self, message: Envelope[Receipt]) -> None:
        """Nothing."""

    def note(self, kiosk: str, text: str) -> None:
        """Nothing."""

    def ended(self, ending: Ending) -> None:
        """Nothing."""


class _Demo:
    def __init__(
        self, sources: Sequence[str], seconds: float | None, console: Console | None
    ) -> None:
        self._sources = list(sources)
        self._seconds = seconds
        self._console = console
        self._fleet = Fleet("kiosk/v1")
        self._online = asyncio.Event()
        self._prompt = ""
        self.summary = Summary()

    async def run(self) -> None:
        if (me := asyncio.current_task()) is not None:
            for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: leave nothing running
                asyncio.get_running_loop().add_signal_handler(number, me.cancel)
        self._say("preparing the cameras' clips ..." if not self._sources else "starting ...")
        sources, portrait = (self._sources, None) if self._sources else await _clips()
        with tempfile.TemporaryDirectory(prefix="kiosk-demo-") as name:
            folder = Path(name)
            broker = EmbeddedBroker()
            await asyncio.to_thread(broker.start)
            try:
                await self._with_broker(folder, broker.port, sources, portrait)
            finally:
                await asyncio.to_thread(broker.stop)

    async def _with_broker(
        self, folder: Path, port: int, sources: Sequence[str], portrait: bytes | None
    ) -> None:
        key = keys.new_key("demo supervisor", "supervisor")
        settings_file = folder / "agent.toml"
        own = not self._sources
        await asyncio.to_thread(_write_files, folder, settings_file, port, sources, key, own=own)
        centre = ConsoleSettings(broker=f"mqtt://127.0.0.1:{port}")
        listening = asyncio.Event()
        following = asyncio.create_task(
            follow(
                centre,
                [Topics(KIOSK).up("up/#")],
                self._receive,
                lambda problem: listening.set() if problem is None else None,
            )
        )
        try:
            await listening.wait()
            log = folder / "agent.log"
            async with _agent(settings_file, log, self.summary) as process:
                visits = Visits(
                    folder / "state" / "agent.sock",
                    camera=_names(sources)[-1],
                    portrait=portrait,
                    show=self._screen_says,
                    decided=self._decided,
                )
                await self._live(process, log, centre, key, visits)
                # What is on its way may arrive: numbers overtake each other.
                await self._soon(lambda: not self.summary.lost_sequence_numbers)
            await self._soon(lambda: self._fleet.kiosk(KIOSK).state == "stopping")
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _live(
        self,
        process: asyncio.subprocess.Process,
        log: Path,
        centre: ConsoleSettings,
        key: PrivateKey,
        visits: Visits,
    ) -> None:
        began = time.monotonic()
        tasks = [
            asyncio.create_task(process.wait(), name="agent"),
            asyncio.create_task(self._order(centre, key), name="operator"),
            asyncio.create_task(visits.run(), name="business application"),
            asyncio.create_task(self._measure(process.pid), name="measure"),
        ]
        if self._console is not None:
            tasks.append(asyncio.create_task(self._show(self._console), name="screen"))
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
                last = await asyncio.to_thread(_last_lines, log)
                msg = f"the {task.get_name()} ended too early; the agent's last words:\n{last}"
                raise DemoError(msg)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.summary.seconds = round(time.monotonic() - began, 1)

    async def _soon(self, condition: Callable[[], bool]) -> None:
        """Wait a moment for a condition; the summary's numbers speak for themselves."""
        for _ in range(int(_SETTLE_S / _POLL_S)):
            if condition():
                return
            await asyncio.sleep(_POLL_S)

    def _receive(self, arrived: Arrival) -> None:
        change = self._fleet.feed(
            arrived.topic, arrived.payload, now=datetime.now(UTC), retained=arrived.retained
        )
        if change is None:
            return
        self.summary.add(arrived.payload)
        if change.view.state == "online":
            self._online.set()

    async def _order(self, centre: ConsoleSettings, key: PrivateKey) -> None:
        await self._online.wait()
        sender = Sender(keys=[key], timeout_s=_COMMAND_TTL_S)
        for action, args in itertools.cycle(ORDERS):
            await asyncio.sleep(1)
            draft = Draft(KIOSK, action, args, ttl_s=_COMMAND_TTL_S, reason="demonstration")
            [ending] = await sender.send(centre, [draft], _Unseen())
            if ending.outcome is Outcome.SUCCEEDED:
                self.summary.commands_done += 1
            else:
                self.summary.commands_failed += 1
            await asyncio.sleep(_ORDER_EVERY_S)

    async def _measure(self, pid: int) -> None:
        while True:
            own, with_cameras = await asyncio.to_thread(_memory_mib, pid)
            summary = self.summary
            summary.peak_rss_mib = max(summary.peak_rss_mib, own)
            summary.peak_rss_with_cameras_mib = max(summary.peak_rss_with_cameras_mib, with_cameras)
            await asyncio.sleep(0.5)

    async def _show(self, console: Console) -> None:
        with Live(self._render(console), console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(self._render(console), refresh=True)
                await asyncio.sleep(_REFRESH_S)

    def _render(self, console: Console) -> RenderableType:
        rows = max(6, console.height - 15)
        panel = kiosk_panel(
            self._fleet.kiosk(KIOSK),
            datetime.now(UTC),
            events=max(3, rows * 2 // 3),
            receipts=max(2, rows // 3),
        )
        summary = self.summary
        line = Text.assemble(
            (" kiosk-agent demo ", "bold reverse"),
            f"  {sum(summary.messages.values())} messages, "
            f"{summary.lost_sequence_numbers} missing, {summary.commands_done} commands done, "
            f"agent {summary.peak_rss_mib:.0f} MiB ({summary.peak_rss_with_cameras_mib:.0f} with "
            "cameras)   ",
            ("Ctrl-C ends", "dim"),
        )
        if not self._prompt:
            return Group(panel, line)
        return Group(
            panel, Text.assemble((" kiosk's screen ", "reverse"), f"  {self._prompt}"), line
        )

    def _screen_says(self, text: str) -> None:
        self._prompt = text

    def _decided(self, outcome: str) -> None:
        self.summary.checks[outcome] += 1

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(text, style="dim")


async def _clips() -> tuple[list[str], bytes]:
    """Render the project's own clips, kept for the next time, and their person's portrait."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "kiosk-agent"  # noqa: ASYNC240 - no file is touched
    version = await asyncio.to_thread(_clip_version)
    paths = [folder / f"{scene}-{version}.avi" for scene in SCENES]
    portrait = folder / f"{_PORTRAIT}-{version}.png"
    await asyncio.to_thread(lambda: folder.mkdir(parents=True, exist_ok=True))
    wanted = [*zip(SCENES, paths, strict=True), (_PORTRAIT, portrait)]
    await asyncio.gather(*(_render_clip(scene, path) for scene, path in wanted))
    return [str(path) for path in paths], await asyncio.to_thread(portrait.read_bytes)


async def _render_clip(scene: str, path: Path) -> None:
    if await asyncio.to_thread(path.exists):
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "vision.clip", scene, str(path)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        msg = f"the demo clip {path} could not be rendered: {said.decode(errors='replace')[-500:]}"
        raise DemoError(msg)


def _clip_version() -> str:
    """Changes with the code that draws the clips."""
    spec = importlib.util.find_spec("vision.clip")
    digest = hashlib.sha256()
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _write_files(
    folder: Path,
    settings_file: Path,
    port: int,
    sources: Sequence[str],
    key: PrivateKey,
    *,
    own: bool,
) -> None:
    operators = folder / "operators.json"
    operators.write_text(KeySet(keys=(key.public(),)).model_dump_json(exclude_none=True))
    quote = json.dumps  # a JSON string is a TOML string
    names = _names(sources)
    # Of our own clip only, in which a car with a made-up plate drives up.
    more = {**({"street": _PLATES} if own else {}), names[-1]: _FACES}
    cameras = "".join(
        f"\n[[camera]]\nname = {quote(name)}\nsource = {quote(source)}\n{more.get(name, '')}"
        for name, source in zip(names, sources, strict=True)
    )
    # Nobody in a file turns the head when asked to, and the rendered person is as flat as paper.
    liveness = "off" if kind_of(sources[-1]) == "file" else "challenge"
    settings_file.touch(mode=0o600)  # a camera's address may hold a password
    settings_file.write_text(
        f"""\
[kiosk]
id = "{KIOSK}"
state_folder = {quote(str(folder / "state"))}

[link]
port = {port}

[health]
sample_s = 2
interval_s = 5

[commands]
operators = {quote(str(operators))}

[door]
driver = "simulated"

[identity]
liveness = {quote(liveness)}
{cameras}""",
        encoding="utf-8",
    )


def _names(sources: Sequence[str]) -> Sequence[str]:
    return SCENES if len(sources) == len(SCENES) else [f"camera{n}" for n in range(len(sources))]


@asynccontextmanager
async def _agent(
    settings_file: Path, log: Path, summary: Summary
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The agent as its own process, stopped as a service manager stops it."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "agent.run", str(settings_file)),
            stdout=output,
            stderr=output,
            # Its own session: Ctrl-C is for the demonstration, which then stops the agent.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        summary.agent_exit_status = process.returncode


def _memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and with its children, in MiB."""
    try:
        process = psutil.Process(pid)
        own = process.memory_info().rss / _MIB
        children = 0.0
        for child in process.children(recursive=True):
            with suppress(psutil.Error):
                children += child.memory_info().rss / _MIB
    except psutil.Error:
        return 0.0, 0.0
    return round(own, 1), round(own + children, 1)


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
