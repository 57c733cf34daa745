"""What ``kioskctl`` does on a terminal: a live table, questions, completion, quick help."""

import subprocess
import sys
from importlib import metadata

import pytest
import typer

from console.options import duration, moment
from tests.console.conftest import ROOT
from tests.support.scripted_kiosk import ScriptedKiosk, reject


async def test_several_kiosks_make_a_table(kioskctl, broker, li, key_file):
    """The last picture stays on the screen: every kiosk with how it ended."""
    async with (
        ScriptedKiosk(broker.port, "v-1", [li]).online(),
        ScriptedKiosk(broker.port, "v-2", [li], reject).online(),
    ):
        done = await kioskctl.on_terminal(
            *("--lang", "zh", "send", "ping", "--kiosk", "v-1", "--kiosk", "v-2"),
            *("--key", key_file),
        )
    assert done.code == 3
    end = done.out[done.out.rindex("步骤") :]
    assert "v-1" in end
    assert "已拒绝" in end
    assert "a citizen is being served" in end


@pytest.mark.parametrize(("answer", "code", "heard"), [("y", 0, 1), ("n", 1, 0)])
async def test_all_is_asked_for(*, kioskctl, broker, li, key_file, answer, code, heard):
    """How many kiosks --all would hit is easily misjudged."""
    async with ScriptedKiosk(broker.port, "q-1", [li], root="ask/v1").online() as kiosk:
        done = await kioskctl.on_terminal(
            *("--root", "ask/v1", "reboot", "--all", "--key", key_file),
            answers=[("Send reboot to 1 kiosks?", answer)],
        )
    assert (done.code, len(kiosk.heard)) == (code, heard)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("kioskctl send k-1 door.", ["door.lock", "door.unlock"]),
        ("kioskctl send k-1 snapshot --arg b", ["blur="]),
        ("kioskctl key new Li --role s", ["supervisor"]),
    ],
)
async def test_words_are_completed(kioskctl, words, found):
    """Actions, their arguments, roles."""
    done = await kioskctl(
        _KIOSKCTL_COMPLETE="complete_bash",
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split()) - 1),
    )
    assert done.out.split() == found


async def test_its_version(kioskctl):
    """Asked for as everywhere."""
    done = await kioskctl("--version")
    assert (done.code, done.out) == (0, f"kioskctl {metadata.version('kiosk-agent')}\n")


def test_help_imports_little():
    """Who only looks something up does not wait for MQTT and cryptography."""
    program = (
        "import sys; sys.argv = ['kioskctl', '--help']\n"
        "from console.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'aiomqtt', 'joserfc', 'pydantic', 'rich'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == "set()\n"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("3d", 259_200)]
)
def test_durations(text, seconds):
    """A number and a unit."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "1w", "-5", "1.5h", "m"])
def test_no_durations(text):
    """Anything else is wrong usage."""
    with pytest.raises(typer.BadParameter, match="expected such as"):
        duration(text)


@pytest.mark.parametrize("text", ["yesterday", "+x", "2026-13-01"])
def test_no_moments(text):
    """Neither a time of ISO 8601 nor one from now."""
    with pytest.raises(typer.BadParameter, match="expected such as"):
        moment(text)
