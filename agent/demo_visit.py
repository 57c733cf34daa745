"""The demonstration's business application: it checks who stands before the camera."""

import asyncio
import base64
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.errors import AgentError
from agent.local.client import ask

_PAUSE_S = 4.0
_POLL_S = 0.25
_CHECK_S = 20.0
VISITOR = "demo-visitor"

Show = Callable[[str], None]


class Visits:
    """Checks persons through the agent's local door, as the kiosk's own software would.

    With a portrait, whoever stands there is compared with it. Without one, they are enrolled
    first, in a gallery that goes with the demonstration, and then recognised.

    Args:
        socket: of the agent.
        camera: before which the persons stand.
        portrait: a picture of the rendered person.
        show: takes what the kiosk's screen would say.
        decided: told of each outcome.
    """

    def __init__(
        self,
        socket: Path,
        *,
        camera: str,
        portrait: bytes | None,
        show: Show,
        decided: Callable[[str], None],
    ) -> None:
        self._socket = socket
        self._camera = camera
        self._portrait = portrait
        self._show = show
        self._decided = decided

    async def run(self) -> None:
        """Go on until cancelled; an agent that is not there yet, or no more, is waited for."""
        following = asyncio.create_task(self._follow())
        try:
            while True:
                with suppress(AgentError):
                    await (self._recognise() if self._portrait is None else self._verify())
                await asyncio.sleep(_PAUSE_S)
        finally:
            following.cancel()

    async def _verify(self) -> None:
        session = await self._ask("POST", "/v1/sessions", business="demo", mode="self_service")
        try:
            answer = await self._ask(
                "POST",
                "/v1/identity/verify",
                session_id=session["id"],
                purpose="demonstration",
                consent_code="demo",
                portrait=base64.b64encode(self._portrait or b"").decode(),
                camera=self._camera,
                time_limit_s=_CHECK_S,
            )
            self._decided(answer["outcome"])
        finally:
            await self._ask("DELETE", f"/v1/sessions/{session['id']}")

    async def _recognise(self) -> None:
        if not (await self._ask("GET", "/v1/staff"))["persons"]:
            await self._ask(
                "POST",
                "/v1/staff",
                subject=VISITOR,
                purposes=["presence"],
                consent_code="demo",
                days=1,
                camera=self._camera,
                time_limit_s=_CHECK_S,
            )
        answer = await self._ask(
            "POST",
            "/v1/identity/identify",
            purpose="presence",
            camera=self._camera,
            time_limit_s=_CHECK_S,
        )
        self._decided(answer["outcome"])

    async def _follow(self) -> None:
        """Say what the screen says."""
        while True:
            with suppress(AgentError):
                self._show(_line(await self._ask("GET", "/v1/identity")))
            await asyncio.sleep(_POLL_S)

    async def _ask(self, method: str, target: str, **body: Any) -> dict[str, Any]:
        return await ask(self._socket, method, target, body or None)


def _line(view: dict[str, Any]) -> str:
    prompts = "; ".join(f"{one['zh']} / {one['en']}" for one in view["prompts"][:1])
    if view["check"] != "none":
        return f"{view['check']} at {view['camera']}: {prompts or '请看摄像头 / please look here'}"
    if outcome := view.get("outcome"):
        return f"{outcome} {prompts}".strip()
    return ""
