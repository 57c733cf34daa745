"""Who may order what, and when: the policy table, one row an action.

Roles are not ranks: each row names those that may. With two signers both need one of them, and
must be two persons. The settings file of the kiosk may change rows; no command can.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from contract.keys import ROLES, Role

_WORKERS: frozenset[Role] = frozenset({"operator", "supervisor", "maintainer"})
_SENIORS: frozenset[Role] = frozenset({"supervisor", "maintainer"})
_POLICE: frozenset[Role] = frozenset({"operator", "supervisor"})
"""Whose business personal data are; who mends kiosks needs none."""

WhileServing = Literal["allow", "wait", "refuse"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The row of one action."""

    roles: frozenset[Role] = _WORKERS
    signers: int = 1
    """Distinct persons who must sign."""
    disruptive: bool = False
    """Interrupts service: not on the word of a clock that may be wrong, only so often an hour,
    and only while it can be recorded."""
    serving: WhileServing = "allow"
    """While a citizen is being served: go ahead, wait for the end, or turn away. Commands with
    ``force`` go ahead."""
    timeout_s: float = 30.0
    """Stopped after running for so long."""
    per_hour: int | None = None
    """No more than so many an hour."""


DEFAULT_POLICY: Mapping[str, Policy] = MappingProxyType(
    {
        "ping": Policy(roles=ROLES, timeout_s=10),
        "cancel": Policy(timeout_s=60),
        "reboot": Policy(disruptive=True, serving="wait", timeout_s=900),
        "poweroff": Policy(
            roles=_SENIORS, signers=2, disruptive=True, serving="wait", timeout_s=900
        ),
        "agent.restart": Policy(roles=_SENIORS, disruptive=True, serving="wait", timeout_s=120),
        "service.lock": Policy(disruptive=True, serving="refuse"),
        "service.unlock": Policy(),
        "door.lock": Policy(roles=_SENIORS, disruptive=True, serving="refuse"),
        "door.unlock": Policy(roles=_SENIORS),
        "config.push": Policy(roles=_SENIORS, disruptive=True, timeout_s=4500, per_hour=12),
        "keys.update": Policy(roles=_SENIORS, signers=2, disruptive=True, per_hour=12),
        "certificate.request": Policy(roles=_SENIORS, per_hour=12),
        "certificate.install": Policy(roles=_SENIORS, disruptive=True, timeout_s=600, per_hour=12),
        "snapshot": Policy(timeout_s=60, per_hour=120),
        "announce": Policy(timeout_s=300, per_hour=60),
        "log.level": Policy(roles=_SENIORS),
        "log.fetch": Policy(roles=_SENIORS, timeout_s=120, per_hour=30),
        "diagnostics": Policy(roles=_SENIORS, timeout_s=120, per_hour=30),
        # To look for vehicles takes two persons, like a picture with faces; to stop takes one.
        "plates.watchlist.put": Policy(roles=_POLICE, signers=2, per_hour=120),
        "plates.watchlist.remove": Policy(roles=_POLICE),
        "plates.watchlist.list": Policy(roles=_POLICE),
        # To keep somebody's face takes two persons; to delete it takes one.
        "identity.enroll": Policy(roles=_POLICE, signers=2, timeout_s=330, per_hour=120),
        "identity.remove": Policy(roles=_POLICE),
        "identity.list": Policy(roles=_POLICE),
        # Fetching disturbs nobody; before it restarts the agent it waits for the citizen's end.
        "update.install": Policy(
            roles=_SENIORS, signers=2, disruptive=True, timeout_s=14_400, per_hour=12
        ),
        "maintenance.on": Policy(roles=_SENIORS, serving="refuse"),
        "maintenance.off": Policy(roles=_SENIORS),
    }
)


def effective(changes: Mapping[str, Mapping[str, object]]) -> dict[str, Policy]:
    """Return the table with changed rows; keys of a change are those of :class:`Policy`."""
    table = dict(DEFAULT_POLICY)
    for name, change in changes.items():
        table[name] = replace(table.get(name, Policy()), **change)  # type: ignore[arg-type]
    return table
