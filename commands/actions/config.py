"""``config.push``: settings on trial; they stay when the kiosk is well with them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from commands.action import Action, Invocation, Result
from commands.errors import ActionError
from contract.actions import ConfigPush
from contract.config import ConfigChanged

GROUP = "config"


class Configs(Protocol):
    """Who keeps the kiosk's settings."""

    async def push(
        self,
        version: int,
        settings: Mapping[str, Any],
        *,
        signers: tuple[str, ...],
        say: Callable[[str], Awaitable[None]],
    ) -> ConfigChanged:
        """Put settings on trial; returns what became of them."""
        ...

    async def outcome(self, version: int) -> ConfigChanged | None:
        """Wait for the end of a version's trial; None where it never began."""
        ...


def config_push(configs: Configs) -> Action[ConfigPush]:
    """Make the action. Its result: ``version``, ``hash``, and ``changed``, the tables."""

    async def run(arguments: ConfigPush, invocation: Invocation) -> Result:
        invocation.no_return()
        outcome = await configs.push(
            arguments.version,
            arguments.settings,
            signers=invocation.signers,
            say=invocation.progress,
        )
        return _result(outcome)

    async def resume(arguments: ConfigPush, _: Invocation) -> Result:
        outcome = await configs.outcome(arguments.version)
        if outcome is None:
            msg = "the agent stopped before the trial began; push it again"
            raise ActionError(msg, code="interrupted")
        return _result(outcome)

    return Action(ConfigPush, run=run, resume=resume, group=GROUP, signers=_signers)


def _signers(arguments: ConfigPush) -> int:
    """How many persons must sign.

    Two: to move a kiosk to another broker, for that takes its password along; to have plates
    told in plain text, or those told that a kiosk keeps to itself; to change how long plates are
    kept and pseudonyms hold; and to change how faces are compared, before which cameras, and for
    how long they are kept.
    """
    settings = arguments.settings
    cameras = settings.get("camera")
    personal = isinstance(cameras, list) and any(map(_bares_persons, cameras))
    return 2 if personal or settings.keys() & {"link", "plates", "identity"} else 1


def _bares_persons(camera: object) -> bool:
    if not isinstance(camera, dict):
        return False
    plates = camera.get("plates")
    bares_plates = isinstance(plates, dict) and (
        bool(plates.get("plain_text_purpose")) or "suppress" in plates
    )
    return bares_plates or "identity" in camera


def _result(outcome: ConfigChanged) -> Result:
    match outcome.outcome:
        case "confirmed":
            return {
                "version": outcome.version,
                "hash": outcome.hash,
                "changed": list(outcome.changed),
            }
        case "rolled_back":
            msg = f"version {outcome.version} went back: {outcome.text}"
        case _:
            msg = f"version {outcome.version} was refused: {outcome.text}"
    raise ActionError(msg)
