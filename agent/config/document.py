"""Whether a document on ``down/config`` is to be believed."""

from typing import Any

from commands.action import Action
from commands.errors import RefusedError
from commands.policy import Policy
from commands.trust import Trust
from commands.verification import Order, check_signers
from contract import Clock
from contract.actions import ConfigPush
from contract.config import SignedConfig, open_config


async def read_document(
    document: bytes, *, trust: Trust, action: Action[Any], policy: Policy, clock: Clock
) -> SignedConfig:
    """Return what a document says, where those vouch for it who may order ``action``.

    Raises:
        ContractError: it is no such document, or not signed by a known key.
        RefusedError: its signers may not.
    """
    await trust.refresh()
    signed = open_config(document, trust.verifiers, algorithm=trust.algorithm)
    now = clock.stamp()
    keys = [trust.keys[kid] for kid in signed.signers]
    if now.time_quality == "synced":
        keys = [key for key in keys if key.valid_at(now.time.timestamp())]
    if not keys:
        text = f"the key {signed.signers[0]} is not valid at this date"
        raise RefusedError(code="key_not_valid", text=text)
    desired = signed.desired
    arguments = ConfigPush(version=desired.version, settings=desired.settings)
    check_signers(Order(action, arguments, policy), keys)
    return SignedConfig(desired=desired, signers=tuple(key.kid for key in keys))
