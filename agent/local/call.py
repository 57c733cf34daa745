"""One request that found its route, and how its answer is written."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.local.http_message import Answer
from agent.local.problem import ProblemError
from commands.rate import TokenBucket
from contract.wire import WireModel


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation is given."""

    parts: Mapping[str, str]
    """What stands for the braces in the route's path."""
    body: Any
    """Of the route's request model."""
    uid: int


Operate = Callable[[Call], Awaitable[Answer]]


def answer_with(model: WireModel, *, status: int = 200) -> Answer:
    """Answer with a model."""
    return Answer(status, model.model_dump_json(exclude_none=True).encode())


def spend(bucket: TokenBucket, what: str) -> None:
    """Let something happen once more. Raises :class:`ProblemError` where that is too often."""
    if not bucket.take():
        msg = f"{what} in an hour are the most"
        raise ProblemError(429, msg, headers=(("retry-after", "60"),))
