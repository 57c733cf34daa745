"""``kioskctl config``: pushed by command or as a document, shown, compared."""

import asyncio
import json

import aiomqtt
import pytest

from console.config_file import diff, read_settings
from console.errors import ConsoleError
from contract.command import Command
from contract.config import ConfigChanged, open_config
from tests.support.scripted_kiosk import ScriptedKiosk

IN_FORCE = {
    "health": {"interval_s": 10, "window": 5},
    "camera": [{"name": "front", "rate": 5, "source": "rtsp://a"}],
    "kiosk": {"id": "x"},
}
WANTED = '[health]\ninterval_s = 30\n\n[[camera]]\nname = "front"\nrate = 2\n'
PUSHED = {"health": {"interval_s": 30}, "camera": [{"name": "front", "rate": 2}]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "wanted.toml"
    path.write_text(WANTED, encoding="utf-8")
    return path


async def trial(kiosk: ScriptedKiosk, command: Command) -> None:
    """It says how far it is, and confirms."""
    await kiosk.receipt(command, "accepted")
    await kiosk.receipt(command, "running", text="on trial", percent=40.0)
    await kiosk.receipt(command, "running", text="waiting for good health", percent=80.0)
    await kiosk.receipt(command, "succeeded", text="confirmed")


async def test_a_push_takes_the_next_version_and_shows_progress(
    kioskctl, broker, li, key_file, file
):
    """Higher than the reported one and the one that went back."""
    async with ScriptedKiosk(broker.port, "g-1", [li], trial).online() as kiosk:
        await kiosk.report(3, IN_FORCE, failed_version=6, last_error="no health")
        done = await kioskctl("config", "push", "g-1", file.name, "--key", key_file)
    assert done.code == 0
    assert kiosk.heard[0].command.args == {"version": 7, "settings": PUSHED}
    assert "40 % on trial" in done.out
    assert "80 % waiting for good health" in done.out


async def test_each_kiosk_has_versions_of_its_own(kioskctl, broker, li, key_file, file):
    """One file to several kiosks."""
    async with (
        ScriptedKiosk(broker.port, "g-2", [li]).online() as one,
        ScriptedKiosk(broker.port, "g-3", [li]).online() as other,
    ):
        await one.report(3, IN_FORCE)
        await other.report(0, {})
        names = ("--kiosk", "g-2", "--kiosk", "g-3")
        done = await kioskctl("config", "push", file.name, *names, "--key", key_file)
    assert done.code == 0
    assert one.heard[0].command.args["version"] == 4
    assert other.heard[0].command.args["version"] == 1


async def test_without_a_report_the_operator_says_the_version(kioskctl, broker, li, key_file, file):
    """A guessed version could be one that was tried before."""
    async with ScriptedKiosk(broker.port, "g-4", [li]).online() as kiosk:
        done = await kioskctl("config", "push", "g-4", file.name, "--key", key_file)
        assert (done.code, "--version says the number" in done.errors) == (2, True)
        push = ("config", "push", "g-4", file.name, "--key", key_file, "--version", "9")
        assert (await kioskctl(*push)).code == 0
    assert [signed.command.args["version"] for signed in kiosk.heard] == [9]


async def confirms(kiosk: ScriptedKiosk, version: int) -> None:
    await kiosk.report(version, PUSHED, state="trying")
    await kiosk.report(version, PUSHED)


async def goes_back(kiosk: ScriptedKiosk, version: int) -> None:
    await kiosk.report(version, PUSHED, state="trying")
    await kiosk.report(3, IN_FORCE, failed_version=version, last_error="the broker was lost")


async def refuses(kiosk: ScriptedKiosk, version: int) -> None:
    await kiosk.say(ConfigChanged(version=version, outcome="refused", text="not authorised"))


async def is_silent(_kiosk: ScriptedKiosk, _version: int) -> None:
    pass


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        (confirms, 0, "version 4: on trial\nr-1 version 4: confirmed"),
        (goes_back, 1, "the broker was lost"),
        (refuses, 3, "not authorised"),
        (is_silent, 5, "the document stays at the broker"),
    ],
)
async def test_a_document_stays_at_the_broker(
    *, kioskctl, broker, li, key_file, file, answers, code, said
):
    """--retain publishes it signed and retained, and waits for the kiosk's verdict on it."""
    kiosk = ScriptedKiosk(broker.port, "r-1", [li])
    desired = []

    async def decide() -> None:
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5
        ) as client:
            await client.subscribe(kiosk.topics.config, qos=1)
            ready.set()
            message = await anext(aiter(client.messages))
            desired.append(open_config(message.payload, {"li": li.verifier()}).desired)
            await answers(kiosk, desired[0].version)

    ready = asyncio.Event()
    async with kiosk.online(obeys=False):
        await kiosk.report(3, IN_FORCE)
        deciding = asyncio.create_task(decide())
        await ready.wait()
        done = await kioskctl(
            *("config", "push", "r-1", file.name, "--retain", "--key", key_file),
            *("--timeout", "4", "--reason", "season"),
        )
        await deciding
        await kiosk.client.publish(kiosk.topics.config, b"", qos=1, retain=True)
    assert done.code == code
    assert said in done.out + done.errors
    assert (desired[0].kiosk, desired[0].version, desired[0].settings) == ("r-1", 4, PUSHED)
    assert desired[0].reason == "season"


async def test_what_is_in_force_is_shown(kioskctl, broker, li):
    """For a person, and whole for a program."""
    async with ScriptedKiosk(broker.port, "g-5", [li]).online() as kiosk:
        await kiosk.report(3, IN_FORCE, failed_version=4, last_error="camera lost")
        shown = await kioskctl("config", "show", "g-5")
        whole = await kioskctl("config", "show", "g-5", "--json")
    assert "3 (confirmed)" in shown.out
    assert "4: camera lost" in shown.out
    assert '"interval_s": 10' in shown.out
    assert whole.lines[0]["settings"] == IN_FORCE


async def test_a_diff_is_about_what_would_change(kioskctl, broker, li, file):
    """1 and the lines that change; 0 where the file is in force already."""
    async with ScriptedKiosk(broker.port, "g-6", [li]).online() as kiosk:
        await kiosk.report(3, IN_FORCE)
        changed = await kioskctl("config", "diff", "g-6", file.name)
        file.write_text("[health]\nwindow = 5\n", encoding="utf-8")
        same = await kioskctl("--lang", "zh", "config", "diff", "g-6", file.name)
    lines = [line for line in changed.out.splitlines() if line.startswith(("-", "+"))][2:]
    assert changed.code == 1
    assert sorted(lines) == [
        "+camera[0].rate = 2",
        "+health.interval_s = 30",
        "-camera[0].rate = 5",
        "-health.interval_s = 10",
    ]
    assert (same.code, same.out.strip()) == (0, "无差异")


def test_tables_that_go_are_shown():
    """An array of tables is replaced as a whole: one that the file lacks is a line that goes."""
    before = {"camera": [{"name": "a"}, {"name": "b"}]}
    changes = diff(before, {"camera": [{"name": "a"}]})
    assert '-camera[1].name = "b"' in changes
    assert diff(before, before) == []


def test_whole_numbers_are_equal_however_they_are_written():
    """A kiosk reports 7.0 for a setting that may be a fraction; the file said 7."""
    assert diff({"health": {"interval_s": 7.0}}, {"health": {"interval_s": 7}}) == []
    assert diff({"health": {"interval_s": 7.5}}, {"health": {"interval_s": 7}}) != []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.toml", "x =", "Invalid value"),
        ("a.toml", "", "tables of settings are expected"),
        ("a.json", "[]", "tables of settings are expected"),
        ("a.json", "{", "Expecting"),
        ("a.toml", "day = 2026-01-01", "settings: "),
        ("a.json", json.dumps({"a": 2**60}), "settings: "),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path, name, content, said):
    """Before anything is signed."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConsoleError, match=said):
        read_settings(path)
