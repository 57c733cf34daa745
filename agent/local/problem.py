"""Errors of the local door as problem details (RFC 9457)."""

from http import HTTPStatus

from pydantic import Field

from contract.wire import Text, WireModel

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:kiosk-agent:problem:"


class Problem(WireModel):
    """Why a request was not done."""

    type: str = Field(
        default="about:blank",
        description=f"What a program tells it by: {TYPE_PREFIX} and one of locked, maintenance, "
        "going_down, too_many_sessions, no_such_session, no_such_decision, no_such_person, "
        "no_card, not_applicable; or about:blank: the status says it.",
    )
    title: str
    status: int = Field(ge=400, le=599)
    detail: Text = Field(default="", description="A sentence for a person.")


class ProblemError(Exception):
    """A request that is not done.

    Args:
        status: of HTTP.
        detail: a sentence for a person.
        code: what a program tells it by, where the status alone does not.
        headers: for the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.problem = Problem(
            type="about:blank" if code is None else f"{TYPE_PREFIX}{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail[:1024],
        )
