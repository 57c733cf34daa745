"""``kioskctl audit``: what a kiosk recorded, proved without it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.terminal import complain, fail, note, print_plain

if TYPE_CHECKING:
    from contract.audit_proof import Proof

BROKEN = 1

audit_app = typer.Typer(no_args_is_help=True, help="What a kiosk recorded, proved without it.")


@audit_app.callback()
def _commands() -> None:
    """Keep the name of the one command on the command line."""


@audit_app.command("verify")
def audit_verify(
    file: Annotated[Path, typer.Argument(help="What kiosk-agent audit export wrote.")],
    *,
    key: Annotated[
        list[Path] | None,
        typer.Option(help="What kiosk-agent audit key printed. Repeatable."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(help="What kioskctl events ID --kind audit.head --json printed."),
    ] = None,
    other_chains: Annotated[
        bool, typer.Option("--other-chains", help="Heads of other chains are no fault.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prove that no entry was changed, removed or reordered.

    Exit code: 0 proved, 1 not as it was written, 2 wrong usage or a file that cannot be read.
    """
    from console.audit import prove
    from console.errors import ConsoleError
    from contract.errors import AuditError

    try:
        proof = prove(file, keys=key or [], heads=heads)
        _check_extent(proof, other_chains=other_chains)
    except AuditError as error:
        if as_json:
            found = {"proved": False, "entry": error.number, "fault": error.fault}
            print_plain(json.dumps(found | {"text": str(error)}, ensure_ascii=False))
        fail(f"{file}: {error}", code=BROKEN)
    except ConsoleError as error:
        fail(error)
    if as_json:
        print_plain(json.dumps(_as_dict(proof), ensure_ascii=False))
    else:
        _tell(proof)
    if not key:
        _warn(heads)


def _check_extent(proof: "Proof", *, other_chains: bool) -> None:
    """Whether the heads vouch for the trail at all, and are all accounted for."""
    from contract.errors import AuditError

    if proof.head is None and proof.newest_confirmed is None:
        text = (
            f"there is no signed head after entry {proof.last}: the end may have been cut off, or "
            "all of it written anew; only published heads (--heads) could tell"
        )
        raise AuditError(proof.last + 1, "bad_head", text)
    if proof.foreign and not other_chains:
        chains = ", ".join(f"{chain} ({count})" for chain, count in proof.foreign.items())
        text = (
            f"published heads are of other chains: {chains}. This trail is {proof.chain}; entry 1 "
            "says why it was begun. Verify the exports of the others too, then take --other-chains"
        )
        raise AuditError(None, "another_chain", text)


def _as_dict(proof: "Proof") -> dict[str, object]:
    return {
        "proved": True,
        "kiosk": proof.head and proof.head.kiosk,
        "chain": proof.chain,
        "first": proof.first,
        "last": proof.last if proof.head else proof.newest_confirmed,
        "heads_confirmed": proof.confirmed,
        "heads_pruned": proof.pruned,
    }


def _tell(proof: "Proof") -> None:
    if proof.head is not None:
        whose = f" of kiosk {proof.head.kiosk}"
        print_plain(f"entries {proof.first} to {proof.last}{whose} stand as they were written")
    else:
        last = proof.newest_confirmed
        print_plain(f"entries {proof.first} to {last} stand as they were written")
        complain(f"without a signed head, what comes after entry {last} is not proved")
    if proof.first > 1:
        note(f"what came before entry {proof.first} is kept no more, and not proved")
    if proof.newest_confirmed is not None:
        note(
            f"{proof.confirmed} published heads agree, the newest of entry {proof.newest_confirmed}"
        )
    if proof.pruned:
        note(f"{proof.pruned} published heads are of entries before {proof.first}")


def _warn(heads: Path | None) -> None:
    if heads is None:
        note(
            "warning: without --key and --heads this proves only that the file agrees with itself: "
            "somebody else could have written it all, key included"
        )
    else:
        note(
            "warning: without --key the kiosk's key is taken from the published heads: as "
            "trustworthy as whoever could publish them"
        )
