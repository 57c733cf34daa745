"""Whether a document on ``down/config`` is to be believed."""

from typing import Any

from commands.action import Action
from commands.policy import Policy
from commands.trust import Trust
from commands.verification import Order, check_signers, valid_signers
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
    signers = valid_signers(signed.signers, trust, clock.stamp())
    desired = signed.desired
    arguments = ConfigPush(version=desired.version, settings=desired.settings)
    check_signers(Order(action, arguments, policy), [trust.keys[kid] for kid in signers])
    return SignedConfig(desired=desired, signers=signers)
