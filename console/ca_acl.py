"""Mosquitto's access rules, from who holds a certificate in force."""

from collections.abc import Iterable
from typing import Final

from console.ca_index import Issued, Role
from contract.topics import check_root

_WATCH: Final = ("topic read {root}/+/up/#", "topic read {root}/+/down/config")
_ORDER: Final = (
    *_WATCH,
    "topic write {root}/+/down/command",
    "topic write {root}/+/down/config",
)
_BRIDGE_STATE: Final = "$SYS/broker/connection/+/state"
_RIGHTS: Final[dict[Role, tuple[str, ...]]] = {
    "viewer": _WATCH,
    "operator": _ORDER,
    "supervisor": _ORDER,
    "maintainer": (*_ORDER, "topic read $SYS/#"),
    "service": (
        "topic read {root}/+/up/#",
        "topic write {root}/+/down/ack",
        "topic read $SYS/#",
    ),
    "bridge": (
        "topic write {root}/+/up/#",
        "topic read {root}/+/down/#",
        f"topic write {_BRIDGE_STATE}",
    ),
}
"""What a role may do. Whom a kiosk obeys is not decided here: that takes a signature."""


def mosquitto_acl(issued: Iterable[Issued], root: str, now: float) -> str:
    """Return the ACL file: the kiosks' two rules, rows for everybody else, the revoked shut out.

    Raises:
        MalformedError: the root cannot be part of a topic.
    """
    check_root(root)
    entries = [entry for entry in issued if entry.role != "server"]
    roles = {entry.name: entry.role for entry in entries if entry.valid_at(now)}
    revoked = {entry.name for entry in entries if entry.revoked is not None} - roles.keys()
    lines = [
        "# Made by kioskctl ca acl; what is written here by hand is lost.",
        "# Whoever is not named may do nothing but what a kiosk may under its own name.",
        "",
        f"pattern write {root}/%u/up/#",
        f"pattern read {root}/%u/down/#",
    ]
    for name, role in sorted(roles.items()):
        rights = _RIGHTS.get(role)
        if rights is not None:
            lines += ["", f"user {name}", f"topic deny {root}/{name}/#"]
            lines += [right.format(root=root) for right in rights]
    for name in sorted(revoked):
        lines += ["", f"user {name}", "topic deny #", "topic deny $SYS/#"]
    return "\n".join(lines) + "\n"
