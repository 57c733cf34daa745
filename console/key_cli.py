"""``kioskctl key`` and ``kioskctl keys``: the operator's own key, and whom a kiosk obeys."""

import time
from pathlib import Path
from typing import Annotated

import typer

from console import terminal
from console.options import DAY_S, Fleet, Json, OptionalKiosk, Sending, expand
from console.visible import visible

key_app = typer.Typer(no_args_is_help=True, help="Operators' keys.")
keys_app = typer.Typer(no_args_is_help=True, help="The keys that kiosks trust.")

Force = Annotated[bool, typer.Option("--force", help="Even where fewer than two seniors are left.")]


def roles(incomplete: str) -> list[str]:
    """Complete a role."""
    from contract.keys import ROLES

    return [role for role in sorted(ROLES) if role.startswith(incomplete)]


@key_app.command("new")
def key_new(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    role: Annotated[
        str,
        typer.Option(
            metavar="viewer|operator|supervisor|maintainer",
            help="What its owner may order.",
            autocompletion=roles,
        ),
    ],
    out: Annotated[Path, typer.Option(help="The private key's file; must not exist.")],
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so many days.")] = None,
    passphrase: Annotated[
        bool,
        typer.Option("--passphrase", help="Protect it; asks twice, or KIOSKCTL_PASSPHRASE_FILE."),
    ] = False,
) -> None:
    """Make a key: the private half into a file, the public half onto the screen."""
    from typing import cast

    from console.keys import new_key, write_private
    from console.passphrase import ask_new
    from contract.keys import Role

    exp = None if days is None else int(time.time()) + days * DAY_S
    key = new_key(name, cast("Role", role), exp=exp)
    write_private(key, out, secret=ask_new(f"the new key {out}") if passphrase else None)
    terminal.print_plain(key.public().model_dump_json(exclude_none=True))
    terminal.note(f"The private key is in {out}; it never leaves this machine.")


@key_app.command("list")
def key_list(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A key set, such as a kiosk's operators file.")],
    *,
    as_json: Json = False,
) -> None:
    """Show whose commands a kiosk with this file obeys, and the fingerprint of the set."""
    from console.key_set import read_key_set
    from console.key_view import key_table, keys_as_json
    from console.words import LANGUAGES

    keys = read_key_set(file)
    if as_json:
        terminal.print_plain(keys_as_json(keys))
        return
    words = LANGUAGES[terminal.settings_of(context).lang]
    terminal.out().print(key_table(keys, time.time(), words))


@key_app.command("trust")
def key_trust(
    public: Annotated[Path, typer.Argument(help="The public half of a key.")],
    *,
    into: Annotated[Path, typer.Option(help="The kiosk's operators file.")],
) -> None:
    """Add a public key to the file of those whose commands a kiosk obeys."""
    from console.key_set import trust

    key, count = trust(public, into)
    owner = visible(key.name)
    terminal.print_plain(f"{into}: {owner} ({key.kid}) as {key.role}; {count} keys")


@key_app.command("revoke")
def key_revoke(
    who: Annotated[str, typer.Argument(help="A key id, or a name: all keys of that person.")],
    *,
    file: Annotated[Path, typer.Option("--from", help="The kiosk's operators file.")],
    force: Force = False,
) -> None:
    """Take a key out of the file of those whose commands a kiosk obeys."""
    from console.key_set import revoke

    for key in revoke(who, file, force=force):
        terminal.print_plain(f"{file}: {visible(key.name)} ({key.kid}) is out")


@keys_app.command("update")
@expand
def keys_update(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    new: Annotated[Path, typer.Option(help="The key set that they shall trust from now on.")],
    present: Annotated[Path, typer.Option(help="The key set that they trust now.")],
    force: Force = False,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Replace the keys that kiosks trust. Takes two persons: --sign-to, cosign, send --file."""
    from console.dispatch import order_it
    from console.key_set import changes, check_seniors, read_key_set
    from contract.keys import fingerprint

    wanted, now = read_key_set(new), read_key_set(present)
    if not force:
        check_seniors(wanted.keys)
    for line in changes(now, wanted):
        terminal.note(line)
    args = {
        "keys": [key.model_dump(mode="json", exclude_none=True) for key in wanted.keys],
        "replaces": fingerprint(now),
    }
    order_it(
        terminal.settings_of(context), kiosk, "keys.update", args, sending=sending, fleet=fleet
    )
