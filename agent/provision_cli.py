"""``kiosk-agent provision``: who this kiosk is to the broker. For the engineer on site."""

import json
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.config_option import ConfigOption, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.provision.folder import IdentityFolder
    from agent.settings import Settings

provision_app = typer.Typer(
    no_args_is_help=True, help="The key and certificate by which brokers know this kiosk."
)


@provision_app.command()
def request(*, config: ConfigOption = None) -> None:
    """Print the request for this kiosk's certificate (PKCS #10); makes the key where there is none.

    The key stays on this machine.
    """
    settings = load_settings(config)
    with _identity(settings) as folder:
        csr = folder.first_request(settings.kiosk.id)
    typer.echo(csr.decode(), nl=False)
    typer.echo(
        f"request of {settings.kiosk.id}; the key stays in {folder.path}. "
        "Have it signed (kioskctl ca sign), then: kiosk-agent provision install",
        err=True,
    )


@provision_app.command()
def install(
    certificate: Annotated[
        Path, typer.Argument(help="PEM: the kiosk's certificate, then intermediates.")
    ],
    *,
    roots: Annotated[
        Path | None,
        typer.Option(help="PEM: the roots that are trusted from now on, one or several."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check the signed certificate and put it in force; the agent uses it at its next connect."""
    from agent.provision.certificate import MAX_ROOTS, Chain, read_certificates

    settings = load_settings(config)
    now = _now()
    chain = Chain.read(_content(certificate))
    trusted = None if roots is None else read_certificates(_content(roots), limit=MAX_ROOTS)
    with _identity(settings) as folder:
        present = folder.lasting_roots() if trusted is None else trusted
        chain.check(kiosk=settings.kiosk.id, roots=present, now=now)
        folder.install(chain, trusted)
    typer.echo(f"{settings.kiosk.id}: serial {chain.serial}, good until {chain.not_after:%Y-%m-%d}")
    if now is None:
        typer.echo("the clock is not synchronised: dates were not checked", err=True)
    tls = settings.link.tls
    if tls is None or tls.certificate is not None:
        typer.echo("it is not used yet: the settings need an empty table [link.tls]", err=True)
    if trusted is not None and tls is not None and tls.ca is not None:
        typer.echo("the roots are not used: the settings name others ([link.tls] ca)", err=True)


@provision_app.command()
def status(
    *,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show key, certificate and roots; exit code 1 where a broker would not take them."""
    from agent.provision.status import lines, look

    settings = load_settings(config)
    with _identity(settings) as folder:
        found = look(folder, kiosk=settings.kiosk.id, now=_now())
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines(found)))
    if found["problem"] is not None:
        typer.echo(found["problem"], err=True)
        raise typer.Exit(1)


@contextmanager
def _identity(settings: "Settings") -> "Iterator[IdentityFolder]":
    """Open the folder, as the service's user where root does; a disk that fails is a sentence."""
    from agent.errors import CertificateError
    from agent.provision.folder import IdentityFolder
    from agent.service_user import become, service_user

    state = settings.kiosk.state_folder
    try:
        user = service_user()
        if user is not None:
            become(user, state)
        yield IdentityFolder(state)
    except OSError as error:
        msg = f"{error.filename or state}: {error.strerror or error}"
        raise CertificateError(msg) from None


def _now() -> datetime | None:
    """Return the time; ``None`` where this machine's clock is not to be trusted."""
    import asyncio

    from telemetry.clock import SystemClock
    from telemetry.timesync import time_status

    clock = SystemClock()
    clock.set_status(asyncio.run(time_status()))
    stamp = clock.stamp()
    return stamp.time if stamp.time_quality == "synced" else None


def _content(path: Path) -> bytes:
    from agent.errors import CertificateError
    from agent.provision.folder import MAX_FILE_BYTES

    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CertificateError(msg) from None
    if len(content) > MAX_FILE_BYTES:
        msg = f"{path}: larger than {MAX_FILE_BYTES} bytes"
        raise CertificateError(msg)
    return content
