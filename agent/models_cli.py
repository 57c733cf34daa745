"""``kiosk-agent models``: the networks on this kiosk, and whether they are the listed ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vision.models.manifest import Model


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    manifest: Annotated[
        Path | None, typer.Option("--models", metavar="FILE", help="Another list of models.")
    ] = None,
) -> None:
    """List the models and verify their hashes; exit code 1 where a file is not the listed one."""
    from vision.models.manifest import SHIPPED, load_manifest

    records = [_record(model) for model in load_manifest(manifest or SHIPPED).model]
    if as_json:
        for record in records:
            typer.echo(json.dumps(record, ensure_ascii=False))
    else:
        _show(records)
    raise typer.Exit(int(any(record["state"] != "good" for record in records)))


def _record(model: "Model") -> dict[str, Any]:
    from vision.models.errors import MissingModelError, WrongHashError

    record: dict[str, Any] = {**model.model_dump(mode="json"), "state": "good", "bytes": None}
    try:
        record["bytes"] = len(model.read())
    except MissingModelError as error:
        record |= {"state": "missing", "error": str(error)}
    except WrongHashError as error:
        record |= {"state": "wrong hash", "error": str(error)}
    return record


def _show(records: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("model", "task", "file", "size", "licence", "made", "commit"):
        table.add_column(heading, no_wrap=True)
    for record in records:
        state = Text(record["state"], style="green" if record["state"] == "good" else "bold red")
        size = "" if record["bytes"] is None else f"{record['bytes'] / 1e6:.1f} MB"
        commit = (record["training_commit"] or "")[:7]
        made, licence = record["made"], record["licence"]
        name, role = record["name"], record["role"]
        table.add_row(name, role, state, size, licence, made, commit)
    Console().print(table)
    for record in records:
        for figure, value in record["figures"].items():
            typer.echo(f"{record['name']}: {figure.replace('_', ' ')} {value}")
        if record["calibration"]:
            typer.echo(f"{record['name']}: {_thresholds(record['calibration'])}")
    for record in records:
        if "error" in record:
            typer.echo(record["error"], err=True)


def _thresholds(calibration: dict[str, Any]) -> str:
    rates = "; ".join(
        f"{name.upper()} {100 * calibration[name]:.2f} % of {calibration[pairs]} pairs "
        f"(95 %: {100 * calibration[f'{name}_low']:.2f} to {100 * calibration[f'{name}_high']:.2f})"
        for name, pairs in (("fmr", "impostor_pairs"), ("fnmr", "genuine_pairs"))
    )
    return (
        f"calibration {calibration['version']}: match from {calibration['match_at']:g}, no match "
        f"below {calibration['no_match_below']:g}, identify from {calibration['identify_at']:g}; "
        f"{calibration['set']}: {rates}"
    )
