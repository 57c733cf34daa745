"""``kiosk-agent audit``: the record of what was ordered, refused and changed on this kiosk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.config_option import ConfigOption, load_settings

if TYPE_CHECKING:
    from agent.audit_trail import Trail

audit_app = typer.Typer(
    no_args_is_help=True, help="The record of what was ordered, refused and changed here."
)


def _trail(config: Path | None) -> "Trail":
    """Open the trail, as the service's user where root does."""
    from agent.audit_trail import Trail
    from agent.errors import TrailError
    from agent.service_user import become, service_user

    trail = Trail(load_settings(config))
    user = service_user()
    if user is not None:
        try:
            become(user)
        except OSError as error:
            msg = f"{user.pw_name}: {error.strerror}"
            raise TrailError(msg) from None
    return trail


@audit_app.command()
def show(
    *,
    config: ConfigOption = None,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the newest entries, the newest last."""
    from agent.audit_trail import describe

    for line in _trail(config).newest(last):
        typer.echo(line if as_json else describe(line))


@audit_app.command()
def verify(*, config: ConfigOption = None) -> None:
    """Check that no entry was changed, removed or reordered; exit code 1 where one was."""
    proof = _trail(config).verify()
    typer.echo(f"entries {proof.first} to {proof.last} stand as they were written")
    typer.echo(
        "Who may write to this disk may have written them all anew: "
        "kioskctl audit verify compares an export with the heads that the centre received."
    )


@audit_app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Write all entries and the signed head into a file, for kioskctl audit verify."""
    from agent.audit_export import export as write
    from agent.audit_trail import Trail
    from agent.service_user import service_user

    done = write(Trail(load_settings(config)), file, service_user())
    typer.echo(f"{file}: entries {done.first} to {done.number}")
    if done.problem is not None:
        typer.echo(f"without a signed head, so its end proves nothing: {done.problem}", err=True)


@audit_app.command()
def key(*, config: ConfigOption = None) -> None:
    """Print the kiosk's public key (JWK); keep it where kioskctl verifies."""
    typer.echo(_trail(config).public_key().model_dump_json())
