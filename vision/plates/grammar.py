"""What kind of plate a text is, by GA 36-2018. Nothing here corrects a text.

A motorcycle's or a low-speed vehicle's plate carries the text and colours of a car's: from
what is read alone they are told as ``civil``.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from vision.plates.alphabet import AUTHORITY_O, DIGITS, LETTERS, PROVINCES
from vision.plates.plate import Colour

Kind = Literal[
    "civil",
    "nev_small",
    "nev_large",
    "trailer",
    "coach",
    "police",
    "hk",
    "macau",
    "embassy",
    "consulate",
    "emergency",
    "wj",
    "military",
    "aviation",
    "other",
]
"""``coach`` is a driving school's (学), ``wj`` the armed police's, ``other`` everything else."""
Rows = Literal[1, 2]
Doubt = Literal["colour", "rows"]

OTHER_CODE = "99"
"""Where the police have no code of its own, or the colour does not tell large from small."""
_CIVIL_CODES: dict[Colour, str] = {"blue": "02", "yellow": "01"}
_SEPARATORS = frozenset("·•.-")
_SENSITIVE: frozenset[Kind] = frozenset(("wj", "military", "embassy", "consulate"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the grammar says of a text."""

    kind: Kind
    code: str
    """The traffic police's plate class (号牌种类): 01 large, 02 small, ... 99 other."""
    doubts: tuple[Doubt, ...] = ()
    """What the plate looks like that its kind does not; empty for ``other``."""

    @property
    def well_formed(self) -> bool:
        """Whether the text has a form of the norm; a read counts without it, too."""
        return self.kind != "other"

    @property
    def sensitive(self) -> bool:
        """Whether it is of the forces or a foreign mission: plates that a site may suppress."""
        return self.kind in _SENSITIVE


@dataclass(frozen=True, slots=True)
class _Form:
    kind: Kind
    pattern: re.Pattern[str]
    code: str
    colours: frozenset[Colour]
    rows: frozenset[Rows]


def _form(
    kind: Kind,
    pattern: str,
    code: str,
    colours: tuple[Colour, ...],
    rows: tuple[Rows, ...] = (1, 2),
) -> _Form:
    """Make a form; in ``pattern`` P, L and D stand for a province, a letter and a digit."""
    classes = {
        "{P}": f"[{PROVINCES}]",
        "{L}": f"[{LETTERS}]",
        "{O}": f"[{LETTERS}{AUTHORITY_O}]",
        "{A}": f"[{DIGITS}{LETTERS}]",
        "{D}": f"[{DIGITS}]",
    }
    for name, characters in classes.items():
        pattern = pattern.replace(name, characters)
    return _Form(kind, re.compile(pattern), code, frozenset(colours), frozenset(rows))


_FORMS = (
    _form("civil", r"{P}{L}(?=(?:{D}*{L}){0,2}{D}*$){A}{5}", OTHER_CODE, ("blue", "yellow")),
    _form("nev_small", r"{P}{L}[A-HJK]{A}{D}{4}", "52", ("green",), (1,)),
    _form("nev_large", r"{P}{L}{D}{5}[A-HJK]", "51", ("yellow_green",), (1,)),
    _form("trailer", r"{P}{L}{A}{4}挂", "15", ("yellow",), (2,)),
    _form("coach", r"{P}{L}{A}{4}学", "16", ("yellow",)),
    _form("police", r"{P}{O}{A}{4}警", "23", ("white",)),
    _form("hk", r"粤Z{A}{4}港", "26", ("black",), (1,)),
    _form("macau", r"粤Z{A}{4}澳", "27", ("black",), (1,)),
    _form("embassy", r"{D}{6}使|使{D}{6}", "03", ("black",)),
    _form("consulate", r"{P}(?:{D}{5}|{L}{D}{4})领", "04", ("black",)),
    _form("emergency", r"{P}(?:[XS]{D}{4}|{D}{5})应急|应急{P}{D}{3}[XS]", OTHER_CODE, ("white",)),
    # Before the military: WJ and five digits would pass for one of theirs.
    _form("wj", r"WJ{P}?{D}{4}[0-9TDSHBXJ]", "31", ("white",)),
    _form("military", r"{L}{2}{D}{5}", "32", ("white",)),
    _form("aviation", r"民航{A}{5}", OTHER_CODE, ("green",)),
)


def normalise(text: str) -> str:
    """Write a plate in one way: NFKC, upper case, without spaces and ``· • . -``."""
    plain = unicodedata.normalize("NFKC", text).upper()
    return "".join(each for each in plain if not each.isspace() and each not in _SEPARATORS)


def judge(text: str, colour: Colour | None = None, rows: Rows | None = None) -> Verdict:
    """Tell the kind of a plate by its normalised text.

    The text alone decides the kind; of civil plates the colour tells large from small. A
    colour or a number of rows that the kind does not have is a doubt, and changes nothing.
    """
    for form in _FORMS:
        if form.pattern.fullmatch(text):
            break
    else:
        return Verdict("other", OTHER_CODE)
    code = _CIVIL_CODES.get(colour, form.code) if form.kind == "civil" and colour else form.code
    doubts: list[Doubt] = []
    if colour and colour not in form.colours:
        doubts.append("colour")
    if rows and rows not in form.rows:
        doubts.append("rows")
    return Verdict(form.kind, code, tuple(doubts))
