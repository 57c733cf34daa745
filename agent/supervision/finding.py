"""Findings: their ids, and what the audit trail keeps of them."""

from contract import Stamp
from contract.audit import Facts
from contract.identity import SupervisionFinding
from contract.ids import uuid7


def new_id(now: Stamp) -> str:
    """Make the id of a finding."""
    return uuid7(int(now.time.timestamp() * 1000))


def audit_kind(finding: SupervisionFinding) -> str:
    """Return the kind of a finding's entry."""
    return f"supervision.{finding.rule}"


def facts_of(finding: SupervisionFinding) -> Facts:
    """Return all that a finding says, flat."""
    said = finding.model_dump(mode="json", exclude={"rule"}, exclude_none=True)
    said["decision_ids"] = ", ".join(finding.decision_ids)
    return said
