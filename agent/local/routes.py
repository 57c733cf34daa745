"""What the local door answers to: one row a route, for the door itself and for its document."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from agent.local.problem import ProblemError
from commands.desk.view import AnnouncementsView, ServiceView, SessionsView, SessionView
from contract.actions import MaintenanceOn
from contract.business import Mode
from contract.health import Health
from contract.wire import Name, WireModel

Operation = Literal[
    "status",
    "health",
    "service",
    "list_sessions",
    "begin_session",
    "keep_session_alive",
    "end_session",
    "announcements",
    "events",
    "begin_maintenance",
    "end_maintenance",
    "openapi",
]


class SessionRequest(WireModel):
    """A citizen is being served from now on."""

    business: Name = Field(
        description="What for, in the application's own words.", examples=["violation.pay"]
    )
    mode: Mode = Field(description="Whether the citizen or a member of staff operates the kiosk.")


@dataclass(frozen=True, slots=True)
class Route:
    """One row."""

    method: str
    path: str
    """Parts in braces stand for anything."""
    operation: Operation
    summary: str
    status: int = 200
    request: type[WireModel] | None = None
    response: type[WireModel] | None = None
    problems: dict[int, str] = field(default_factory=dict)
    """What else it may answer, beside what any route may."""


_NO_SESSION = {404: "No such session is open."}

ROUTES = (
    Route("GET", "/v1/status", "status", "How the agent is, as `kiosk-agent status` shows it."),
    Route(
        "GET",
        "/v1/health",
        "health",
        "The latest sample of the kiosk's health.",
        response=Health,
        problems={503: "There is no sample yet."},
    ),
    Route(
        "GET",
        "/v1/service",
        "service",
        "Whether the kiosk does business now, and whether a session may begin.",
        response=ServiceView,
    ),
    Route("GET", "/v1/sessions", "list_sessions", "All open sessions.", response=SessionsView),
    Route(
        "POST",
        "/v1/sessions",
        "begin_session",
        "Begin a session.",
        status=201,
        request=SessionRequest,
        response=SessionView,
        problems={
            409: "None may begin now; the type says why: locked, maintenance, going_down, "
            "too_many_sessions."
        },
    ),
    Route(
        "POST",
        "/v1/sessions/{id}/alive",
        "keep_session_alive",
        "Somebody is still there: the session's time begins anew.",
        response=SessionView,
        problems=_NO_SESSION,
    ),
    Route(
        "DELETE",
        "/v1/sessions/{id}",
        "end_session",
        "End a session.",
        status=204,
        problems=_NO_SESSION,
    ),
    Route(
        "GET",
        "/v1/announcements",
        "announcements",
        "All announcements in force.",
        response=AnnouncementsView,
    ),
    Route(
        "GET",
        "/v1/events",
        "events",
        "All changes as server-sent events, until either side hangs up.",
        problems={503: "Too many follow already."},
    ),
    Route(
        "POST",
        "/v1/maintenance",
        "begin_maintenance",
        "Somebody works on the kiosk: business rests.",
        request=MaintenanceOn,
        response=ServiceView,
    ),
    Route(
        "DELETE",
        "/v1/maintenance",
        "end_maintenance",
        "The work is over; also where there was none.",
        response=ServiceView,
    ),
    Route("GET", "/v1/openapi.json", "openapi", "This interface as an OpenAPI document."),
)


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the route of a request and what stands for its parts in braces.

    Raises:
        ProblemError: there is no such path, or not with this method.
    """
    here = [(route, parts) for route in ROUTES if (parts := _match(route.path, path)) is not None]
    for route, parts in here:
        if route.method == method:
            return route, parts
    if here:
        allowed = ", ".join(sorted({route.method for route, _ in here}))
        detail = f"{path[:200]} takes {allowed}"
        raise ProblemError(405, detail, headers=(("allow", allowed),))
    detail = f"nothing is at {path[:200]}; see /v1/openapi.json"
    raise ProblemError(404, detail)


def _match(pattern: str, path: str) -> dict[str, str] | None:
    expected, given = pattern.split("/"), path.split("/")
    if len(expected) != len(given):
        return None
    parts: dict[str, Any] = {}
    for want, have in zip(expected, given, strict=True):
        if want.startswith("{"):
            parts[want.strip("{}")] = have
        elif want != have:
            return None
    return parts
