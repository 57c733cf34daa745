"""``kioskctl certificate``: what kiosks are known by at the broker, renewed from afar."""

from pathlib import Path
from typing import Annotated

import typer

from console import terminal
from console.ca_cli import DEFAULT_FOLDER, Days, Folder
from console.options import Fleet, Kiosk, OptionalKiosk, Sending, expand

app = typer.Typer(no_args_is_help=True, help="Certificates of kiosks, renewed over their line.")


@app.command()
@expand
def renew(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    ca: Folder = DEFAULT_FOLDER,
    present_ca: Annotated[
        Path | None,
        typer.Option(help="Another CA of certificates that they have now."),
    ] = None,
    days: Days = 730,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Renew certificates with kioskctl's own CA: ask for requests, sign, have them tried."""
    from console.ca import CertificateAuthority, read_root
    from console.ca_index import IssuedIndex
    from console.passphrase import ask
    from console.renewal import renew as renew_all

    settings = terminal.settings_of(context)
    read_root(ca)  # where there is no CA, nobody is asked for its passphrase
    authority = CertificateAuthority.open(ca, ask(f"the CA {ca}"))
    # Both: on a second run some have their new certificate already.
    issued = [entry for one in {ca, present_ca or ca} for entry in IssuedIndex(one).all()]
    renew_all(settings, kiosk, authority, issued=issued, days=days, sending=sending, fleet=fleet)


@app.command()
@expand
def request(
    context: typer.Context,
    kiosk: Kiosk,
    *,
    present: Annotated[Path, typer.Option(help="The certificate that the kiosk has now, PEM.")],
    out: Annotated[Path, typer.Option(help="The file for the request.")],
    sending: Sending,
) -> None:
    """Have a kiosk make a key, and fetch the request for another CA to sign."""
    from console import files
    from console.renewal import request as fetch

    files.save(out, fetch(terminal.settings_of(context), kiosk, present, sending=sending))
    terminal.note(f"{out}: have it signed, then kioskctl certificate install {kiosk}")


@app.command()
@expand
def install(
    context: typer.Context,
    kiosk: OptionalKiosk = None,
    *,
    certificate: Annotated[
        Path | None, typer.Option(help="The signed certificate, then intermediates; PEM.")
    ] = None,
    roots: Annotated[
        Path | None, typer.Option(help="Further roots to trust, PEM. Takes two persons.")
    ] = None,
    replace_roots: Annotated[
        bool, typer.Option("--replace-roots", help="Trust these roots alone.")
    ] = False,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Have a certificate or roots tried; what gives no line goes back by itself."""
    from console.dispatch import order_it
    from console.renewal import install_arguments

    args = install_arguments(certificate, roots, replace_roots=replace_roots)
    settings = terminal.settings_of(context)
    order_it(settings, kiosk, "certificate.install", args, sending=sending, fleet=fleet)
