"""What ``kiosk-agent faces --json`` says of pictures and pairs: plain JSON, its keys a contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vision.identity.base import Template
from vision.identity.chain import Chain
from vision.identity.rates import NEVER, interval, rates_at, roc

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture gave."""

    template: Template | None
    """Of its largest face."""
    reasons: tuple[str, ...]
    """What is against it; ``several_faces`` where the largest is not alone."""
    faces: int
    error: str | None = None
    """Why it could not be read."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, as a list names them, and whether they are said to show one person."""

    file_x: str
    file_y: str
    same: bool


def compared(x: Seen, y: Seen, chain: Chain) -> Record:
    """Compare two pictures."""
    record: Record = {
        "outcome": "refer",
        "similarity": None,
        "threshold": chain.backend.calibration.match_at,
        "reasons_x": list(x.reasons),
        "reasons_y": list(y.reasons),
        "faces_x": x.faces,
        "faces_y": y.faces,
    }
    if x.template is not None and y.template is not None:
        similarity = chain.similarity(x.template, y.template)
        record |= {"outcome": chain.outcome(similarity), "similarity": round(similarity, 6)}
    errors = [error for error in (x.error, y.error) if error]
    return {**record, "error": "; ".join(errors)} if errors else record


def models_of(chain: Chain) -> Record:
    """Name what compared."""
    backend = chain.backend
    return {
        "detector": backend.detector.name,
        "recogniser": backend.recogniser.name,
        "calibration": backend.calibration.version,
    }


def pair_record(pair: Pair, compared: Record) -> Record:
    """Say how a pair of a list ended.

    ``matched`` is what counts in the rates: the similarity reaches the threshold, whatever the
    quality says. A pair without a similarity is not matched.
    """
    similarity = compared["similarity"]
    matched = similarity is not None and similarity >= compared["threshold"]
    return {
        "file_x": pair.file_x,
        "file_y": pair.file_y,
        "same": pair.same,
        "matched": matched,
        "right": matched == pair.same,
        **compared,
    }


def summary(records: Sequence[Record], chain: Chain) -> Record:
    """Sum up a list of pairs; the intervals are at 95 %, for pairs taken as independent."""
    same = [record["same"] for record in records]
    found = [record["similarity"] for record in records]
    similarities = [NEVER if similarity is None else similarity for similarity in found]
    rates = rates_at(chain.backend.calibration.match_at, similarities, same)
    return {
        "accuracy": rates.accuracy,
        "fmr": rates.fmr,
        "fmr_interval": interval(rates.false, rates.impostor),
        "fnmr": rates.fnmr,
        "fnmr_interval": interval(rates.missed, rates.genuine),
        "threshold": rates.threshold,
        "pairs": len(records),
        "genuine": rates.genuine,
        "impostor": rates.impostor,
        "missed": rates.missed,
        "false": rates.false,
        "referred": sum(record["outcome"] == "refer" for record in records),
        "without_face": sum(similarity is None for similarity in found),
        "unreadable": sum("error" in record for record in records),
        **models_of(chain),
        "roc": roc(similarities, same),
    }
