import json

import pytest

import bench
from bench.__main__ import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch):
    def with_arguments(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["bench", *arguments])
        return main()

    return with_arguments


def test_a_benchmark_reads_its_own_options_and_its_word_is_the_exit_status(
    call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    given = {}

    def measured(**options: object) -> bench.Figures:
        given.update(options)
        return {"ok": False, "minutes": 3.0}

    monkeypatch.setattr("bench.soak.run", measured)
    assert call("soak", "--minutes", "3", "--json") == 1
    assert (given["minutes"], given["seed"], given["release"]) == (3.0, 1, "watermark")
    assert json.loads(capsys.readouterr().out) == {"ok": False, "minutes": 3.0}


def test_a_benchmark_without_a_judgement_succeeds(
    call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("bench.commands.run", lambda: {"broker": "mosquitto", "ping_p50_ms": 4.25})
    assert call("commands") == 0
    assert capsys.readouterr().out == "broker       mosquitto\nping_p50_ms  4.25\n"


def test_the_rig_is_no_benchmark(call, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        call("rig")
    assert call("--help") == 0
    said = capsys.readouterr().out
    assert "soak" in said
    assert "rig" not in said.split("}")[0]
