"""Text that others wrote, so that whoever decides by it sees all of it. Imports nothing heavy."""

import unicodedata
from typing import Final

_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs that are drawn as nothing."""
_OVERLAID: Final = frozenset({"Mn", "Me"})
"""Marks that lie over other signs. Some scripts need them; piled up they cover what is around."""


def visible(text: str) -> str:
    r"""Return the text with an escape such as ``\u202e`` for each sign that may hide something.

    These are controls, what turns the direction of reading, what is drawn as nothing, and marks
    that lie over other signs.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if _is_plain(sign) else _escaped(sign) for sign in text)


def _is_plain(sign: str) -> bool:
    shown = sign.isprintable() and sign not in _BLANK
    return shown and unicodedata.category(sign) not in _OVERLAID


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
