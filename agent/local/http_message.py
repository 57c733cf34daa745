"""A request and its answer, as those who handle them see them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from agent.local.problem import MEDIA_TYPE, ProblemError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may take; a door with a few local users needs no more."""

    connections: int = 64
    streams: int = 16
    """Followers of events at a time."""
    head_bytes: int = 16 * 1024
    body_bytes: int = 64 * 1024
    """Where the route allows no more."""
    request_s: float = 5.0
    """From the first byte of a request to its last."""
    answer_s: float = 30.0
    """To work out an answer, where the route allows no more."""
    write_s: float = 5.0
    """To take what was sent."""
    idle_s: float = 60.0
    """Between requests."""
    grace_s: float = 1.0
    """A connection that is idle for so long has to make room for a new one."""
    sessions_per_hour: int = 1200
    """Begun. Each one is an event that goes over the line."""
    acts_per_hour: int = 60
    """Of a person on site. Each one is an entry of the audit trail, where older ones give way."""
    heartbeat_s: float = 15.0
    """Between two signs of life on a stream of events."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a route allows beyond the limits."""

    body_bytes: int = 0
    answer_s: float = 0.0


NO_MORE = Room()
RoomOf = Callable[[str, str], Room]
"""By method and path; also of what is no route."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    """Without query."""
    body: bytes
    uid: int
    """Who asks: the user of the process at the other end, as the kernel says."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a body, or a stream that ends when either side has enough."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None


Handle = Callable[[Request], Awaitable[Answer]]
"""Raises :class:`~agent.local.problem.ProblemError` for what is not done."""


def answer_for(error: ProblemError) -> Answer:
    """Return the answer that tells a problem."""
    body = error.problem.model_dump_json().encode()
    return Answer(error.status, body, MEDIA_TYPE, error.headers)
