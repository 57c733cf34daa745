"""Settings of the command path. Every default works."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from commands.policy import DEFAULT_POLICY, Policy, WhileServing, effective
from contract.algorithm import AlgorithmName
from contract.keys import Role
from contract.wire import Name


class Section(BaseModel):
    """One table of the settings file: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PolicySettings(Section):
    """Changes to the row of one action in the policy table; what is left out stays."""

    roles: frozenset[Role] | None = Field(default=None, min_length=1, description="Who may.")
    signers: int | None = Field(default=None, ge=1, le=4, description="So many persons must sign.")
    disruptive: bool | None = Field(default=None, description="Counts for the loop breaker.")
    serving: WhileServing | None = Field(
        default=None, description="While a citizen is served: allow, wait or refuse."
    )
    timeout_s: float | None = Field(default=None, gt=0, le=86_400)
    per_hour: int | None = Field(default=None, ge=1)


class CommandSettings(Section):
    """Who may command this kiosk, how often, and how long it is remembered."""

    operators: Path = Field(
        default=Path("/etc/kiosk-agent/operators.json"),
        description="The operators' public keys (JWK Set); read again when it changes.",
    )
    signature_algorithm: AlgorithmName = Field(
        default="Ed25519", description="What operators sign with; others are refused."
    )
    policy: dict[Name, PolicySettings] = Field(
        default={}, description="Changes to the policy table, one table an action."
    )
    disruptive_per_hour: int = Field(
        default=12, ge=1, description="Loop breaker: more interruptions an hour are refused."
    )
    max_waiting: int = Field(default=64, ge=1, description="Accepted commands not yet begun.")
    refusals_per_minute: int = Field(
        default=10,
        ge=1,
        description="Answers to messages that nobody trusted signed; more are only counted.",
    )
    repeats_per_minute: int = Field(
        default=60, ge=1, description="Last receipts sent again because a command was repeated."
    )
    clock_leeway_s: int = Field(
        default=30, ge=0, description="How far the operators' clocks may differ from this one."
    )
    ledger_retention_days: int = Field(default=90, ge=90)
    ledger_max_rows: int = Field(default=20_000, ge=100)
    ledger_max_mib: int = Field(default=64, ge=1, description="Without the audit trail.")
    audit_max_rows: int = Field(default=100_000, ge=1000)

    @field_validator("policy")
    @classmethod
    def _known(cls, policy: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
        if unknown := sorted(set(policy) - set(DEFAULT_POLICY)):
            msg = f"no action {', '.join(unknown)}; there are {', '.join(sorted(DEFAULT_POLICY))}"
            raise ValueError(msg)
        return policy

    def effective_policy(self) -> dict[str, Policy]:
        """Return the policy table with the changes of these settings."""
        return effective(
            {name: row.model_dump(exclude_none=True) for name, row in self.policy.items()}
        )
