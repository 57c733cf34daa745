"""``kiosk-agent release``: keys, releases, and whether one may be believed. For who makes them."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.errors import ReleaseError

if TYPE_CHECKING:
    from contract.keys import PrivateKey
    from contract.release import Manifest

release_app = typer.Typer(no_args_is_help=True, help="Releases of the agent: make, sign, verify.")


@release_app.command("key")
def release_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    out: Annotated[Path, typer.Option(help="The private key's file; must not exist.")],
    days: Annotated[int | None, typer.Option(min=1, help="Signs for so many days.")] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Protect it; asks twice.")
    ] = False,
) -> None:
    """Make a release key: the private half into a file, the public half onto the screen.

    `kioskctl key trust` puts the public half into the release-keys.json of kiosks.
    """
    from console import keys
    from console.errors import ConsoleError
    from console.passphrase import ask_new

    try:
        secret = ask_new(f"key {out}") if passphrase else None
        # Put among the operators by mistake, it may order nothing.
        key = keys.new_key(name, "viewer", exp=int(time.time()) + days * 86_400 if days else None)
        keys.write_private(key, out, secret=secret)
    except (ConsoleError, ValueError) as error:
        raise ReleaseError(str(error)) from None
    typer.echo(key.public().model_dump_json(exclude_none=True))


@release_app.command("build")
def release_build(
    project: Annotated[Path, typer.Argument(help="The checkout.")] = Path(),
    *,
    key: Annotated[list[Path], typer.Option(help="A release key; repeatable.")],
    out: Annotated[
        Path, typer.Option(help="The folder for the file; made where there is none.")
    ] = Path(),
    tree: Annotated[
        Path | None, typer.Option(help="Take a tree that was built; else one is made of PROJECT.")
    ] = None,
    extra: Annotated[
        list[str] | None,
        typer.Option(help="Optional dependency; default: gpio, as in the package."),
    ] = None,
) -> None:
    """Make a release of a checkout, with the packages of its lock, and sign it.

    Do it on a machine like the kiosks: same architecture, same /usr/bin/python3.
    """
    import tempfile
    from datetime import UTC, datetime

    from agent.release.build import build_release
    from agent.release.package import digest_of
    from agent.release.tree import PACKAGED_EXTRAS, build_tree

    keys = [_read(path) for path in key]
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out, prefix=".release-")
    except OSError as error:
        msg = f"{out}: {error.strerror}"
        raise ReleaseError(msg) from None
    with folder as work:
        if tree is None:
            tree = Path(work, "tree")
            build_tree(project.resolve(), tree, extras=extra or PACKAGED_EXTRAS)
        path, manifest = build_release(tree, out, keys, built=datetime.now(UTC))
    with path.open("rb") as file:
        _tell(path, manifest, digest_of(file), tuple(one.kid for one in keys), as_json=False)


@release_app.command("verify")
def release_verify(
    file: Annotated[Path, typer.Argument(help="The release.")],
    *,
    keys: Annotated[Path, typer.Option(help="The release keys to believe.")] = Path(
        "/etc/kiosk-agent/release-keys.json"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check signature and every byte, and say what is in a release; exit code 1 where it fails."""
    import tempfile

    from agent.release.check import read_release_keys
    from agent.release.package import digest_of, open_package

    pinned = read_release_keys(keys)
    try:
        with file.open("rb") as stream:
            digest = digest_of(stream)
            with (
                open_package(stream, pinned) as package,
                tempfile.TemporaryDirectory(prefix="kiosk-release-") as work,
            ):
                package.check_payload()
                package.unpack(Path(work), lambda _: None)
                signed = package.signed
    except OSError as error:
        msg = f"{file}: {error.strerror or error}"
        raise ReleaseError(msg) from None
    _tell(file, signed.manifest, digest, signed.signers, as_json=as_json)


def _tell(
    path: Path, manifest: "Manifest", digest: str, signers: tuple[str, ...], *, as_json: bool
) -> None:
    from contract.wire import format_time

    facts = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sha256": digest,
        "version": manifest.version,
        "arch": manifest.arch,
        "python": manifest.python,
        "built": format_time(manifest.built),
        "files": len(manifest.files),
        "unpacked_bytes": manifest.total_bytes,
        "signers": list(signers),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:<15} {', '.join(value) if isinstance(value, list) else value}")


def _read(path: Path) -> "PrivateKey":
    from console.errors import ConsoleError
    from console.keys import read_private

    try:
        return read_private(path)
    except ConsoleError as error:
        raise ReleaseError(str(error)) from None
