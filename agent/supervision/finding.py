"""Findings: their ids, and what the audit trail keeps of them."""

from commands import audit
from contract import Stamp
from contract.audit import Facts
from contract.identity import SupervisionFinding
from contract.ids import uuid7_at


def new_id(now: Stamp) -> str:
    """Make the id of a finding."""
    return uuid7_at(now.time)


def audit_kind(finding: SupervisionFinding) -> str:
    """Return the kind of a finding's entry."""
    return f"supervision.{finding.rule}"


def facts_of(finding: SupervisionFinding) -> Facts:
    """Return all that a finding says but its rule, flat."""
    facts = audit.facts_of(finding)
    del facts["rule"]
    return facts
