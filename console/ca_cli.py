"""``kioskctl ca``: a small certificate authority, and the broker's files that follow from it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console import terminal
from console.options import Json

if TYPE_CHECKING:
    from console.ca import CertificateAuthority

app = typer.Typer(no_args_is_help=True, help="Certificates of kiosks, people, services, brokers.")

Folder = Annotated[
    Path, typer.Option(envvar="KIOSKCTL_CA_FOLDER", help="Where the CA lives; nobody else's.")
]
Out = Annotated[Path, typer.Option(help="The file to write.")]
Days = Annotated[int, typer.Option(min=1, max=36_500, help="Valid for so many days.")]
DEFAULT_FOLDER = Path("ca")


def roles(incomplete: str) -> list[str]:
    """Complete a role."""
    from console.ca_index import ROLES

    return [role for role in sorted(ROLES - {"server"}) if role.startswith(incomplete)]


@app.command("init")
def ca_init(
    name: Annotated[str, typer.Argument(help="What it is called, such as 'Baotou kiosks'.")],
    *,
    folder: Folder = DEFAULT_FOLDER,
    days: Days = 3652,
) -> None:
    """Make a CA: a key under a passphrase, and the root certificate that others shall trust."""
    from console.ca import ROOT_FILE, CertificateAuthority
    from console.passphrase import ask_new

    CertificateAuthority.create(folder, name, ask_new(f"the new CA {folder}"), days=days)
    terminal.print_plain(f"{folder / ROOT_FILE}")
    terminal.note(
        f"Keep a copy of {folder} and its passphrase apart from each other, and off the broker."
    )


@app.command("request")
def ca_request(
    name: Annotated[str, typer.Argument(help="Who asks, such as wang-lei or telegraf.")],
    *,
    key: Annotated[Path, typer.Option(help="The new private key's file; must not exist.")],
    out: Out,
) -> None:
    """Make a key and the request for its certificate; kiosks do that themselves."""
    from console import files
    from console.ca_request import make_request
    from console.errors import KeyFileError

    private, request = make_request(name)
    try:
        files.create(key, private, mode=0o600)
    except OSError as error:
        msg = f"{key}: {error.strerror}"
        raise KeyFileError(msg) from None
    files.save(out, request)
    terminal.note(f"The private key is in {key}; only {out} goes to the CA.")


@app.command("sign")
def ca_sign(
    request: Annotated[Path, typer.Argument(help="The request, PEM.")],
    *,
    folder: Folder = DEFAULT_FOLDER,
    role: Annotated[
        str,
        typer.Option(
            metavar="kiosk|viewer|operator|supervisor|maintainer|service|bridge",
            help="What its owner is to the broker.",
            autocompletion=roles,
        ),
    ] = "kiosk",
    server: Annotated[
        list[str] | None,
        typer.Option(help="Instead: a broker that is called by this name or address. Repeatable."),
    ] = None,
    days: Days = 730,
    again: Annotated[
        bool,
        typer.Option("--again", help="Even where the name has a certificate in force: a new key."),
    ] = False,
    same_key: Annotated[
        bool,
        typer.Option(
            "--same-key",
            help="Even where a revoked certificate has this key: it cannot have left its TPM.",
        ),
    ] = False,
    out: Out,
) -> None:
    """Sign a request; of what it asks for only the key and the name count."""
    from typing import cast

    from console import files
    from console.ca import subject_name
    from console.ca_index import Role
    from console.ca_request import MAX_REQUEST_BYTES, read_request
    from console.ca_view import day

    content = files.read(request, limit=MAX_REQUEST_BYTES)
    authority = _open(folder)
    if server:
        pem = authority.sign_server(content, server, days=days, same_key=same_key)
    else:
        wanted = cast("Role", role)
        if not again:
            _check_free(authority, subject_name(read_request(content)[0], wanted))
        pem = authority.sign(content, role=wanted, days=days, same_key=same_key)
    files.save(out, pem)
    made = next(entry for entry in reversed(authority.issued()) if entry.pem == pem)
    terminal.print_plain(f"{made.serial} {made.name} as {made.role} until {day(made.not_after)}")
    if made.role != "server" and _was_revoked(authority, made.name):
        terminal.note(
            f"{made.name} was revoked before: the broker needs a new acl and crl "
            "(kioskctl ca acl, kioskctl ca crl)"
        )


@app.command("revoke")
def ca_revoke(
    who: Annotated[str, typer.Argument(help="A serial, or the name of a client: all that it has.")],
    *,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Revoke certificates; the broker learns it from a new crl and a new acl."""
    import time

    from console.ca_index import IssuedIndex

    for entry in IssuedIndex(folder).revoke(who, int(time.time())):
        terminal.print_plain(f"{entry.serial} {entry.name} is revoked")
    terminal.note("Now take the output of kioskctl ca crl and kioskctl ca acl to the broker.")


@app.command("crl")
def ca_crl(*, folder: Folder = DEFAULT_FOLDER, out: Out) -> None:
    """Write the revocation list, signed."""
    from console import files

    files.save(out, _open(folder).crl())


@app.command("acl")
def ca_acl(
    context: typer.Context,
    *,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="KIOSKCTL_CA_FOLDER", help="A CA whose certificates count. Repeatable."
        ),
    ] = None,
    out: Out,
) -> None:
    """Write Mosquitto's access rules: what each owner of a certificate may do at the broker."""
    import time

    from console import files
    from console.ca_acl import mosquitto_acl
    from console.ca_index import IssuedIndex

    entries = [entry for one in folder or [DEFAULT_FOLDER] for entry in IssuedIndex(one).all()]
    root = terminal.settings_of(context).root
    files.save(out, mosquitto_acl(entries, root, time.time()).encode())


@app.command("list")
def ca_list(
    context: typer.Context, *, folder: Folder = DEFAULT_FOLDER, as_json: Json = False
) -> None:
    """Show what was issued, what has run out and what was revoked."""
    import time

    from console.ca_index import IssuedIndex
    from console.ca_view import issued_as_json, issued_table
    from console.words import LANGUAGES

    entries, now = IssuedIndex(folder).all(), time.time()
    if as_json:
        for entry in entries:
            terminal.print_plain(issued_as_json(entry, now))
        return
    words = LANGUAGES[terminal.settings_of(context).lang]
    terminal.out().print(issued_table(entries, now, words))


def _open(folder: Path) -> "CertificateAuthority":
    from console.ca import CertificateAuthority, read_root
    from console.passphrase import ask

    read_root(folder)  # where there is no CA, nobody is asked for its passphrase
    return CertificateAuthority.open(folder, ask(f"the CA {folder}"))


def _was_revoked(authority: "CertificateAuthority", name: str) -> bool:
    """Whether the broker's rules may still shut out this name, whatever it shows now."""
    return any(entry.name == name and entry.revoked is not None for entry in authority.issued())


def _check_free(authority: "CertificateAuthority", name: str) -> None:
    import time

    from console.ca_view import day
    from console.errors import AuthorityError

    for entry in authority.issued():
        if entry.name == name and entry.valid_at(time.time()):
            msg = (
                f"{name} has a certificate until {day(entry.not_after)} ({entry.serial}); if this "
                "request is really from there, --again signs another one"
            )
            raise AuthorityError(msg)
