"""``keys.update``: replace the operators' keys that the kiosk trusts."""

from collections.abc import Callable

from commands.action import Action, Invocation, Result
from commands.errors import ActionError
from commands.policy import Policy
from commands.trust import Trust
from commands.verification import is_valid
from contract import Clock
from contract.actions import KeysUpdate
from contract.keys import KeySet, fingerprint


def keys_update(trust: Trust, *, policy: Callable[[], Policy], clock: Clock) -> Action[KeysUpdate]:
    """Make the action. Its result: ``fingerprint`` of the new set, ``keys``.

    ``policy`` gives the row of this action: a set that leaves too few persons who could replace
    it again is refused.
    """

    def check(keys: KeySet) -> None:
        row, now = policy(), clock.stamp()
        able = {key.person for key in keys.keys if key.role in row.roles and is_valid(key, now)}
        if len(able) < row.signers:
            text = (
                f"this set leaves {len(able)} of the {row.signers} persons whose signatures "
                f"another update would need ({' or '.join(sorted(row.roles))})"
            )
            raise ActionError(text)

    async def run(arguments: KeysUpdate, invocation: Invocation) -> Result:
        keys = KeySet(keys=arguments.keys)
        check(keys)
        invocation.no_return()
        await trust.replace(keys, replaces=arguments.replaces)
        return {"fingerprint": trust.fingerprint, "keys": len(trust.keys)}

    async def resume(arguments: KeysUpdate, _invocation: Invocation) -> Result:
        await trust.refresh()
        if trust.fingerprint != fingerprint(KeySet(keys=arguments.keys)):
            text = "the agent stopped before the keys were replaced; the old ones are in force"
            raise ActionError(text, code="interrupted")
        return {"fingerprint": trust.fingerprint, "keys": len(trust.keys)}

    return Action(KeysUpdate, run=run, resume=resume, group="keys")
