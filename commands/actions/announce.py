"""``announce``: a text on the kiosk's screen, spoken where the machine can."""

import asyncio

from commands.action import Action, Invocation, Result
from commands.desk.desk import Desk
from commands.errors import ActionError
from commands.process import run_process
from contract.actions import Announce
from contract.wire import format_time

SPEECH_S = 240.0
"""The longest text, spoken slowly, with room to spare."""


def announce(desk: Desk, *, speaker: str = "espeak-ng", voice: str = "cmn") -> Action[Announce]:
    """Make the action.

    Its result: ``announcement_id``, ``until``; where speech was asked for ``spoken``, and
    ``speech_problem`` where it was not. Whoever cancels it takes the text away, too.

    Args:
        desk: shows it.
        speaker: a program that speaks what it reads, called like espeak-ng(1).
        voice: of the speaker; Mandarin by default.
    """
    speaking = asyncio.Lock()

    async def run(arguments: Announce, _: Invocation) -> Result:
        shown = desk.notices.announce(arguments.text, arguments.for_s)
        result = {"announcement_id": shown.id, "until": format_time(shown.until)}
        if not arguments.speak:
            return result
        try:
            async with speaking:  # one voice at a time
                problem = await _speak(arguments.text)
        except asyncio.CancelledError:
            desk.notices.withdraw(shown.id)
            raise
        if problem:
            return result | {"spoken": False, "speech_problem": problem}
        return result | {"spoken": True}

    async def _speak(text: str) -> str | None:
        """Returns what went wrong."""
        try:
            done = await run_process(
                [speaker, "-v", voice, "--stdin"], stdin=text.encode(), timeout_s=SPEECH_S
            )
        except ActionError as error:
            return str(error)
        if done.status == 0:
            return None
        return f"{speaker} ended with status {done.status}: {done.words[:500]}"

    return Action(arguments=Announce, run=run, idempotent=True)
