"""What the local door answers to: one row a route, for the door itself and for its document."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from agent.identity.requests import (
    MAX_BODY_BYTES,
    CabinetRequest,
    CardRequest,
    CardView,
    CheckAnswer,
    EnrolledView,
    EnrollRequest,
    IdentifyRequest,
    MaintenanceRequest,
    OverrideRequest,
    RemovedView,
    StaffView,
    VerifyRequest,
)
from agent.local.http_message import NO_MORE, Room
from agent.local.problem import ProblemError
from commands.desk.view import (
    AnnouncementsView,
    IdentityView,
    ServiceView,
    SessionsView,
    SessionView,
)
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
    "identity",
    "verify_identity",
    "identify_staff",
    "cancel_check",
    "override_decision",
    "read_card",
    "open_cabinet",
    "list_staff",
    "enroll_staff",
    "remove_staff",
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
    room: Room = NO_MORE


_NO_SESSION = {404: "No such session is open."}
_NOT_APPLICABLE = {
    404: "No such decision is remembered.",
    409: "It is too old, was for something else or was used already.",
}
_OWNERS = {403: "Only root and the agent's own user may."}
_CHECK = Room(body_bytes=MAX_BODY_BYTES, answer_s=140.0)
_SLOW = Room(answer_s=140.0)

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
        request=MaintenanceRequest,
        response=ServiceView,
        problems=_NOT_APPLICABLE,
    ),
    Route(
        "DELETE",
        "/v1/maintenance",
        "end_maintenance",
        "The work is over; also where there was none.",
        response=ServiceView,
    ),
    Route(
        "GET",
        "/v1/identity",
        "identity",
        "The identity check that is under way, or how the last one ended.",
        response=IdentityView,
    ),
    Route(
        "POST",
        "/v1/identity/verify",
        "verify_identity",
        "Compare the person before the camera with a document's portrait; answers when decided.",
        request=VerifyRequest,
        response=CheckAnswer,
        problems=_NO_SESSION,
        room=_CHECK,
    ),
    Route(
        "POST",
        "/v1/identity/identify",
        "identify_staff",
        "Look for the person before the camera among enrolled staff; answers when decided.",
        request=IdentifyRequest,
        response=CheckAnswer,
        room=_SLOW,
    ),
    Route(
        "DELETE",
        "/v1/identity/check",
        "cancel_check",
        "End the check that is under way; it is answered with refer.",
        status=204,
        problems={404: "None is under way."},
    ),
    Route(
        "POST",
        "/v1/identity/decisions/{id}/override",
        "override_decision",
        "Record that business goes on although the check did not end in a match.",
        status=204,
        request=OverrideRequest,
        problems=_NOT_APPLICABLE,
    ),
    Route(
        "POST",
        "/v1/sessions/{id}/card",
        "read_card",
        "Read the identity card on the reader; what it says is kept until the session ends.",
        request=CardRequest,
        response=CardView,
        problems={
            404: "No such session is open.",
            409: "No card could be read; the detail says why.",
        },
        room=_SLOW,
    ),
    Route(
        "POST",
        "/v1/cabinet/open",
        "open_cabinet",
        "Let a member of staff who was recognised for it open the cabinet.",
        status=204,
        request=CabinetRequest,
        problems=_NOT_APPLICABLE,
    ),
    Route(
        "GET",
        "/v1/staff",
        "list_staff",
        "Who is enrolled.",
        response=StaffView,
        problems=_OWNERS,
    ),
    Route(
        "POST",
        "/v1/staff",
        "enroll_staff",
        "Enrol the person before the camera; answers when done.",
        status=201,
        request=EnrollRequest,
        response=EnrolledView,
        problems={**_OWNERS, 409: "They could not be enrolled; the detail says why."},
        room=_SLOW,
    ),
    Route(
        "DELETE",
        "/v1/staff/{subject}",
        "remove_staff",
        "Delete what is stored of a person; the answer is the receipt.",
        response=RemovedView,
        problems={**_OWNERS, 404: "Nobody of this name is enrolled."},
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


def room_of(method: str, path: str) -> Room:
    """Return what a route allows beyond the limits; nothing for what is no route."""
    try:
        return find(method, path)[0].room
    except ProblemError:
        return NO_MORE


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
