"""Settings of the command path. Every default works."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CommandSettings(BaseModel):
    """Who may command this kiosk, how often, and how long it is remembered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: Path = Field(
        default=Path("/etc/kiosk-agent/operators.json"),
        description="The operators' public keys (JWK Set); read again when it changes.",
    )
    max_waiting: int = Field(default=32, ge=1, description="Accepted commands not yet begun.")
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
    ledger_max_mib: int = Field(default=64, ge=1)
