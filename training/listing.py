"""The list of models as text: what an export writes anew, and what it leaves as it is."""

import re
import tomllib
from collections.abc import Container

_ENTRY = re.compile(r"^(?=\[\[model\]\])", re.MULTILINE)


def entries_but(roles: Container[str], listed: str) -> list[str]:
    """Give the entries of a list whose roles are others, to the letter, each with an end of line.

    Raises:
        tomllib.TOMLDecodeError: it is no list of models.
    """
    _, *entries = _ENTRY.split(listed)
    return [
        entry.rstrip() + "\n"
        for entry in entries
        if tomllib.loads(entry)["model"][0].get("role") not in roles
    ]
