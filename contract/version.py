"""Versions of the agent: which of two is the later."""

import re
from typing import Annotated

from pydantic import StringConstraints

Version = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}(rc[0-9]{1,5})?$")
]
"""Such as 1.4.0, or 1.4.0rc2, which is older."""
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:rc(\d+))?")


def age(version: str) -> tuple[int, ...]:
    """Return what orders versions: the later, the larger."""
    found = _VERSION.fullmatch(version)
    if found is None:
        msg = f"{version!r} is no version such as 1.4.0 or 1.4.0rc2"
        raise ValueError(msg)
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch), candidate is None, int(candidate or 0)
