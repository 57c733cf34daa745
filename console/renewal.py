"""The certificates of kiosks, renewed over the line that they have."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509

from console import files, terminal
from console.arguments import checked
from console.ca import CertificateAuthority, check_not_revoked
from console.ca_index import Issued
from console.ca_request import read_request
from console.dispatch import ask_before_all, deliver, drafts_of, finish, keys_of
from console.errors import ConsoleError, RequestError
from console.options import Fleet, Sending
from console.order import Draft
from console.outcome import Ending, Outcome
from console.send import Sender, patience_s
from console.send_view import as_json
from console.settings import ConsoleSettings
from contract import ContractError
from contract.actions import CertificateInstall, CertificateRequest
from contract.certificates import CertificateRequested, check_proof
from contract.wire import validated

_MAX_BYTES = 64 * 1024


def request(settings: ConsoleSettings, kiosk: str, present: Path, *, sending: Sending) -> bytes:
    """Have a kiosk make a request for a certificate; returns it, PEM.

    Args:
        settings: the broker.
        kiosk: whose certificate is to be renewed.
        present: the certificate that it has: that one's key has to vouch for the request.
        sending: how.

    Raises:
        ConsoleError: a file or key is unusable, or the request may be somebody else's.
        Exit: with the outcome, where that is not success.
    """
    try:
        known = x509.load_pem_x509_certificate(files.read(present, limit=_MAX_BYTES))
    except ValueError as error:
        msg = f"{present}: no certificate in PEM form: {error}"
        raise ConsoleError(msg) from None
    [ending] = _ask(settings, kiosk, sending, Fleet())
    _finish(settings, [ending], sending)
    csr = _checked(ending, [known])
    name, _ = read_request(csr)
    if name != kiosk:
        msg = f"the request is for {name!r}, not for {kiosk!r}"
        raise RequestError(msg)
    return csr


def renew(
    settings: ConsoleSettings,
    kiosk: str | None,
    authority: CertificateAuthority,
    *,
    issued: Sequence[Issued],
    days: int,
    sending: Sending,
    fleet: Fleet,
) -> None:
    """Have kiosks make requests, sign them, and have the certificates tried.

    Nothing is signed for a kiosk whose request may be somebody else's; the others go on without it.

    Args:
        settings: the broker.
        kiosk: which, where ``fleet`` does not say it.
        authority: signs.
        issued: the certificates that kiosks have now are among these.
        days: how long the new ones are valid.
        sending: how.
        fleet: which kiosks.

    Raises:
        ConsoleError: a key is unusable, or the only kiosk's request is not signed.
        Exit: with the worst outcome, where that is not success.
    """
    asked = _ask(settings, kiosk, sending, fleet)
    now = time.time()  # with a certificate that has run out nobody is on line
    drafts: list[Draft] = []
    ended: list[Ending] = []
    for one in asked:
        if one.outcome is not Outcome.SUCCEEDED:
            ended.append(one)
            continue
        known = [
            x509.load_pem_x509_certificate(entry.pem)
            for entry in issued
            if (entry.name, entry.role) == (one.kiosk, "kiosk") and entry.valid_at(now)
        ]
        try:
            csr = _checked(one, known)
            check_not_revoked(read_request(csr)[1], issued)  # by the CA before, too
            chain = authority.sign(csr, name=one.kiosk, days=days)
            drafts.append(_draft(one.kiosk, chain, sending))
        except ConsoleError as error:
            if len(asked) == 1:
                msg = f"{one.kiosk}: {error}"
                raise RequestError(msg) from None
            ended.append(_unsigned(one, error, sending))
    if drafts:
        ended += _deliver(settings, drafts, sending, fleet)
    _finish(settings, ended, sending)


def install_arguments(
    certificate: Path | None, roots: Path | None, *, replace_roots: bool
) -> Mapping[str, Any]:
    """Return the arguments of ``certificate.install``; raises :class:`ConsoleError`."""

    def content(path: Path | None) -> str | None:
        if path is None:
            return None
        return files.read(path, limit=_MAX_BYTES).decode(errors="replace")

    return {
        "certificate": content(certificate),
        "roots": content(roots),
        "replace_roots": replace_roots,
    }


def _unsigned(asked: Ending, error: ConsoleError, sending: Sending) -> Ending:
    """Say why a kiosk gets no certificate; the request was made, and the renewal failed."""
    ending = replace(asked, outcome=Outcome.FAILED)
    if sending.as_json:
        told = {**as_json(ending), "text": str(error)}
        terminal.print_plain(json.dumps(told, ensure_ascii=False))
    terminal.complain(f"{asked.kiosk}: {error}")
    return ending


def _draft(kiosk: str, chain: bytes, sending: Sending) -> Draft:
    args = checked(CertificateInstall.ACTION, {"certificate": chain.decode()})
    return Draft(
        kiosk, CertificateInstall.ACTION, args, sending.ttl_s, sending.reason, sending.ticket
    )


def _ask(
    settings: ConsoleSettings, kiosk: str | None, sending: Sending, fleet: Fleet
) -> list[Ending]:
    if sending.sign_to is not None:
        msg = "--sign-to: the answer to a request is needed at once; sign certificates by hand"
        raise ConsoleError(msg)
    drafts = drafts_of(
        settings,
        kiosk,
        CertificateRequest.ACTION,
        {},
        signing=sending,
        choice=fleet,
        ttl_s=sending.ttl_s,
    )
    ask_before_all(settings, drafts, fleet)
    return _deliver(settings, drafts, sending, fleet)


def _deliver(
    settings: ConsoleSettings, drafts: list[Draft], sending: Sending, fleet: Fleet
) -> list[Ending]:
    keys, timeout_s = keys_of(settings, sending.key), _timeout_s(sending)
    return deliver(settings, drafts, Sender(keys=keys, timeout_s=timeout_s), sending, fleet)


def _finish(settings: ConsoleSettings, endings: list[Ending], sending: Sending) -> None:
    finish(settings, endings, _timeout_s(sending), as_json=sending.as_json)


def _timeout_s(sending: Sending) -> float:
    return sending.timeout or patience_s(CertificateInstall.ACTION)


def _checked(ending: Ending, known: Iterable[x509.Certificate]) -> bytes:
    """Return the request; raises :class:`RequestError` where nobody known vouches for it."""
    result = ending.last.result if ending.last else None
    try:
        requested = validated(lambda: CertificateRequested.model_validate(result))
        return check_proof(requested, known)
    except ContractError as error:
        raise RequestError(str(error)) from None
