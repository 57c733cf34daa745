"""Calibration of a face recogniser: which similarity is a match, found on labelled pictures.

Each picture is compared with each other. The threshold is the one at which a stated share of pairs
of two persons match (false match rate, ISO/IEC 19795-1). A set of n such pairs can show rates down
to some 10 / n; for a lower one the upper tail of their similarities is continued by a normal
distribution of their mean and deviation, and the result says so.
"""

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, pstdev

from vision.identity.base import Template
from vision.identity.chain import Chain
from vision.identity.rates import Rates, interval, rates_at
from vision.models.manifest import Calibration, load_manifest
from vision.picture import PictureError, read_picture

_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
_SHOWN_BY = 10
"""False matches that a set must show before a rate is read off it."""
_DOUBT = 10.0
"""As many times the stated rate: less similar pairs are of two persons."""
_ENROLLED = 100
"""As many persons are looked through at the same risk as one document is compared at."""
_DIGITS = 4


class CalibrationError(Exception):
    """The pictures, or the list of models, do not serve; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """A calibration, and how it came about."""

    calibration: Calibration
    text: str


def labelled(folder: Path) -> list[tuple[Path, str]]:
    """List pictures and whom they show.

    ``labels.csv`` (file, identity) says so, or each person has a sub-folder.

    Raises:
        CalibrationError: there are no two pictures.
    """
    listed = folder / "labels.csv"
    if listed.is_file():
        with listed.open(encoding="utf-8-sig", newline="") as file:
            pictures = [(folder / row["file"], row["identity"]) for row in csv.DictReader(file)]
    else:
        found = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in _SUFFIXES)
        pictures = [(path, path.parent.name) for path in found]
    if len(pictures) < 2:
        msg = f"{folder} has neither labels.csv nor a folder of pictures for each person"
        raise CalibrationError(msg)
    return pictures


def templates(pictures: Sequence[tuple[Path, str]], chain: Chain) -> list[tuple[str, Template]]:
    """Make a template of the largest face of each picture that has one.

    Raises:
        CalibrationError: a picture cannot be read.
    """
    found = []
    for file, person in pictures:
        try:
            picture = read_picture(file)
        except PictureError as error:
            msg = f"{file}: {error}"
            raise CalibrationError(msg) from error
        look = chain.look(picture)
        if look.main is not None:
            found.append((person, chain.template(picture, look.main)))
    return found


def calibrate(
    found: Sequence[tuple[str, Template]],
    chain: Chain,
    *,
    name: str,
    version: str,
    fmr: float,
    match_at: float | None = None,
) -> Result:
    """Find the thresholds, or measure a given one.

    Args:
        found: whom each template is of.
        chain: what compares them.
        name: of the set of pictures.
        version: of the calibration: it stands in the events.
        fmr: the rate of false matches that ``match_at`` is to keep.
        match_at: measured in place of a threshold found here.

    Raises:
        CalibrationError: there are no pairs of one person, or too few of two.
    """
    genuine, impostor = _pairs(found, chain)
    if not genuine or len(impostor) < 2:
        msg = "pictures of two persons, and two pictures of one of them, are the least"
        raise CalibrationError(msg)
    chosen = threshold_at(impostor, fmr) if match_at is None else match_at
    doubt = min(chosen, threshold_at(impostor, min(0.5, fmr * _DOUBT)))
    identify = max(chosen, threshold_at(impostor, fmr / _ENROLLED))
    same = [True] * len(genuine) + [False] * len(impostor)
    rates = rates_at(chosen, [*genuine, *impostor], same)
    (fmr_low, fmr_high), (fnmr_low, fnmr_high) = (
        interval(rates.false, rates.impostor),
        interval(rates.missed, rates.genuine),
    )
    calibration = Calibration(
        version=version,
        set=name,
        pictures=len(found),
        persons=len({person for person, _ in found}),
        genuine_pairs=rates.genuine,
        impostor_pairs=rates.impostor,
        match_at=round(chosen, _DIGITS),
        no_match_below=round(doubt, _DIGITS),
        identify_at=round(identify, _DIGITS),
        fmr=rates.false / rates.impostor,
        fmr_low=fmr_low,
        fmr_high=round(fmr_high, _DIGITS),
        fnmr=rates.missed / rates.genuine,
        fnmr_low=round(fnmr_low, _DIGITS),
        fnmr_high=round(fnmr_high, _DIGITS),
    )
    return Result(calibration, _report(calibration, rates, genuine, impostor, fmr))


def threshold_at(impostor: Sequence[float], fmr: float) -> float:
    """Find the similarity that this share of pairs of two persons reaches.

    Where the set cannot show it, by a normal distribution.
    """
    if _shows(impostor, fmr):
        return sorted(impostor, reverse=True)[int(len(impostor) * fmr)] + 10**-_DIGITS
    spread = max(pstdev(impostor), 10**-_DIGITS)
    return min(1.0, NormalDist(fmean(impostor), spread).inv_cdf(1 - fmr))


def _shows(impostor: Sequence[float], fmr: float) -> bool:
    """Whether a set has pairs enough for a rate to be read off it."""
    return len(impostor) * fmr >= _SHOWN_BY


def write(calibration: Calibration, listed: Path) -> str:
    """Put a calibration into the entry of the face recogniser of a list of models.

    The rest of the list stays as it is, to the letter. Returns the recogniser's name.

    Raises:
        CalibrationError: the list has no face recogniser.
        ModelError: it cannot be read.
    """
    before = load_manifest(listed)
    at = next((i for i, m in enumerate(before.model) if m.role == "face-recogniser"), None)
    if at is None:
        msg = f"{listed} lists no face-recogniser"
        raise CalibrationError(msg)
    text = _replaced(listed.read_text(encoding="utf-8"), at, _table(calibration))
    part = listed.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    after = load_manifest(part)
    changed = before.model[at].model_copy(update={"calibration": calibration})
    if after.model != (*before.model[:at], changed, *before.model[at + 1 :]):
        part.unlink()
        msg = f"{listed} is not written as this tool understands; put the table in by hand"
        raise CalibrationError(msg)
    part.replace(listed)
    return changed.name


def _pairs(found: Sequence[tuple[str, Template]], chain: Chain) -> tuple[list[float], list[float]]:
    genuine: list[float] = []
    impostor: list[float] = []
    for (one, a), (other, b) in itertools.combinations(found, 2):
        (genuine if one == other else impostor).append(chain.similarity(a, b))
    return genuine, impostor


def _report(
    calibration: Calibration,
    rates: Rates,
    genuine: Sequence[float],
    impostor: Sequence[float],
    fmr: float,
) -> str:
    how = "read off the set" if _shows(impostor, fmr) else "beyond what the set shows: extrapolated"
    false = (rates.false, rates.impostor, calibration.fmr_low, calibration.fmr_high)
    missed = (rates.missed, rates.genuine, calibration.fnmr_low, calibration.fnmr_high)
    return f"""\
{calibration.pictures} pictures of {calibration.persons} persons with a face
one person:  {_spread(genuine)}
two persons: {_spread(impostor)}
an FMR of {100 * fmr:g} % at {threshold_at(impostor, fmr):.4f} ({how})
match from {calibration.match_at}, no match below {calibration.no_match_below}, \
identify from {calibration.identify_at}
FMR  {_rate(*false)}
FNMR {_rate(*missed)}
The intervals take pairs for independent; those that share a person are not: the truth is wider.
"""


def _rate(count: int, of: int, low: float, high: float) -> str:
    share, low, high = (100 * value for value in (count / of, low, high))
    return f"{count} of {of}: {share:.2f} % (95 %: {low:.2f} to {high:.2f} %)"


def _spread(similarities: Sequence[float]) -> str:
    return (
        f"{len(similarities)} pairs, similarity {min(similarities):.4f} to "
        f"{max(similarities):.4f}, mean {fmean(similarities):.4f}, "
        f"deviation {pstdev(similarities):.4f}"
    )


def _table(calibration: Calibration) -> list[str]:
    return [
        "[model.calibration]",
        *(f"{key} = {_value(value)}" for key, value in calibration.model_dump().items()),
    ]


def _value(value: float | str) -> str:
    """Write a text or a number as TOML has it."""
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _replaced(text: str, model: int, table: list[str]) -> str:
    """Put a table at the end of a model's entry, in place of the one that it has."""
    lines = text.splitlines()
    begins = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*model\s*\]\]", line)]
    if len(begins) <= model:
        return text  # another way to write TOML
    begin, end = begins[model], [*begins[1:], len(lines)][model]
    entry = list(_without_calibration(lines[begin:end]))
    while entry and not entry[-1].strip():
        entry.pop()
    rest = ["", *lines[end:]] if end < len(lines) else []
    return "\n".join([*lines[:begin], *entry, *table, *rest]) + "\n"


def _without_calibration(entry: Sequence[str]) -> Iterator[str]:
    inside = False
    for line in entry:
        if re.match(r"\s*\[", line):
            inside = bool(re.match(r"\s*\[\s*model\s*\.\s*calibration\s*\]", line))
        if not inside:
            yield line
