"""How the kiosk's identity is, for a person on site. Blocks."""

from datetime import datetime
from typing import Any

from cryptography import x509

from agent.errors import CertificateError
from agent.provision.certificate import Chain
from agent.provision.folder import IdentityFolder
from contract.wire import format_time


def look(folder: IdentityFolder, *, kiosk: str, now: datetime | None) -> dict[str, Any]:
    """Return what there is, and under ``problem`` why it would be of no use.

    Args:
        folder: the identity.
        kiosk: whom it has to be made out to.
        now: ``None`` where the clock is not to be trusted: then dates are not judged.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[str, Any] = {
        "kiosk": kiosk,
        "folder": str(folder.path),
        "key": None,
        "certificate": None,
        "roots": [],
        "request_open": folder.request_is_open,
        "on_trial": folder.on_trial(),
        "clock_trusted": now is not None,
        "problem": None,
    }
    try:
        _look_into(folder, found, now)
    except CertificateError as error:
        found["problem"] = str(error)
    return found


def _look_into(folder: IdentityFolder, found: dict[str, Any], now: datetime | None) -> None:
    """Fill in what can be read. Raises :class:`CertificateError` at the first that is no good."""
    if not folder.has_key:
        msg = "there is no key yet: kiosk-agent provision request makes it"
        raise CertificateError(msg)
    found["key"] = "file" if folder.key_is_software else "hardware"
    roots = folder.roots()
    found["roots"] = [_root(root) for root in roots]
    chain = folder.chain()
    if chain is None:
        msg = "there is no certificate yet: kiosk-agent provision install puts it there"
        raise CertificateError(msg)
    found["certificate"] = _certificate(chain, now)
    folder.check_key(chain)
    chain.check(kiosk=found["kiosk"], roots=roots, now=now)


def lines(found: dict[str, Any]) -> list[str]:
    """Return the same for a terminal."""
    certificate = found["certificate"]
    told = [f"kiosk        {found['kiosk']}", f"folder       {found['folder']}"]
    told.append(f"key          {found['key'] or 'none'}")
    if certificate is not None:
        left = certificate["days_left"]
        days = "" if left is None else f" ({left:g} days left)"
        told += [
            f"certificate  {certificate['subject']}, serial {certificate['serial']}",
            f"issued by    {certificate['issuer']}",
            f"valid        {certificate['not_before']} to {certificate['not_after']}{days}",
        ]
    told += [
        f"root         {root['subject']}, until {root['not_after']}" for root in found["roots"]
    ]
    if not found["roots"]:
        told.append("root         none: the system's are trusted")
    if found["on_trial"]:
        told.append("renewal      a new certificate or new roots are on trial")
    elif found["request_open"]:
        told.append("renewal      a request is open, its certificate is not here yet")
    if not found["clock_trusted"]:
        told.append("clock        not synchronised: dates were not judged")
    return told


def _certificate(chain: Chain, now: datetime | None) -> dict[str, Any]:
    days = None if now is None else round((chain.not_after - now).total_seconds() / 86_400, 1)
    return {
        "subject": chain.leaf.subject.rfc4514_string(),
        "issuer": chain.leaf.issuer.rfc4514_string(),
        "serial": chain.serial,
        "not_before": format_time(chain.leaf.not_valid_before_utc),
        "not_after": format_time(chain.not_after),
        "days_left": days,
    }


def _root(root: x509.Certificate) -> dict[str, str]:
    return {
        "subject": root.subject.rfc4514_string(),
        "not_after": format_time(root.not_valid_after_utc),
    }
