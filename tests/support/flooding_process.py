"""A process that says more than its pipe and the agent's end of it hold, and waits to go on."""

import sys
import time

from pydantic import BaseModel

from vision.child import begin
from vision.report import MAX_LINE_BYTES

_LINES = 20


class Flood(BaseModel):
    """Its order, and each of its lines."""

    text: str = ""
    ends: bool = True
    """Whether it ends once all is written."""


def main() -> None:
    """Say it."""
    line, reporter = begin()
    ends = Flood.model_validate_json(line).ends
    sys.stderr.write("as much as it takes\n")
    for _ in range(_LINES):
        reporter.send(Flood(text="x" * (MAX_LINE_BYTES // 2)))
    if not ends:
        time.sleep(600)


if __name__ == "__main__":
    main()
