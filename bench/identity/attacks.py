"""Attacks on the liveness check, and people before it: who is let through, who is turned away.

After ISO/IEC 30107-3: APCER is the share of the attacks of one kind that pass as a person, BPCER
that of people who are taken for an attack. Both are measured as a check does it: with the passive
signs alone for 3 s, and with a challenge and the signs until it is over. The limits were set on
clips of the same making, so these are no figures of a laboratory: docs/liveness.md says what they
are worth.

``python -m bench.identity.attacks`` prints them as one JSON object, after ten minutes.
"""

import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

import cv2
import numpy as np

from bench import Figures
from bench.identity import attack_clips as clips
from vision.identity.backends import open_backend
from vision.identity.base import Picture
from vision.identity.chain import Chain
from vision.identity.liveness.challenge import Challenge, random_steps
from vision.identity.liveness.passive import Passive
from vision.identity.rates import interval
from vision.identity.reasons import LivenessReason, Step

CLIPS = 13
"""Of each kind: as many as there are portraits."""
PASSIVE_S = 3.0
"""So long a check looks where it asks for nothing."""


class Seen(NamedTuple):
    """What the checks said of one clip."""

    early: tuple[LivenessReason, ...]
    """The signs after ``PASSIVE_S``, or at the clip's end."""
    late: tuple[LivenessReason, ...]
    """The signs when the challenge, or the clip, was over."""
    answered: bool
    """Whether the challenge was passed."""
    faces: int


def figures(count: int = CLIPS) -> Figures:
    """Measure on so many clips of each kind; nothing where ``../shared/data`` is not."""
    if not clips.FOLDER.is_dir():
        return {}
    cv2.setNumThreads(1)
    chain = Chain(open_backend())
    people = clips.portraits(lambda picture: _eyes(chain, picture))
    measured: Figures = {"attack_clips_per_kind": count}
    for kind in clips.ATTACKS:
        seen = []
        for index in range(count):
            rng = Random(f"{kind}/{index}")
            scenes = clips.attack(rng, kind, people[index % len(people)])
            seen.append(look(chain, clips.film(rng, scenes), random_steps(rng)))
        measured |= _apcer(kind, seen)
    talking, portraits, answering = [], [], []
    for index in range(count):
        rng = Random(f"people/{index}")
        steps = random_steps(rng)
        portrait = people[index % len(people)]
        talking.append(look(chain, clips.film(rng, clips.talk(rng)), steps))
        portraits.append(look(chain, clips.film(rng, clips.living(rng, portrait)), steps))
        answer = clips.film(rng, clips.answer(rng, portrait, steps))
        answering.append(look(chain, answer, steps))
    passive = [bool(each.late) for each in [*talking, *portraits, *answering]]
    with_challenge = [bool(each.late) or not each.answered for each in answering]
    return {
        **measured,
        "bpcer_passive_talking_percent": _percent([bool(each.late) for each in talking]),
        "bpcer_passive_portrait_percent": _percent([bool(each.late) for each in portraits]),
        "bpcer_passive_percent": _percent(passive),
        "bpcer_passive_clips": len(passive),
        "bpcer_passive_upper_percent": _upper(passive),
        "bpcer_challenge_percent": _percent(with_challenge),
        "bpcer_challenge_clips": len(with_challenge),
        "bpcer_challenge_upper_percent": _upper(with_challenge),
    }


def look(chain: Chain, frames: Iterable[Picture], steps: tuple[Step, ...]) -> Seen:
    """Let the checks see one clip, until the challenge is over and ``PASSIVE_S`` have passed."""
    passive, challenge = Passive(), Challenge(steps)
    early: tuple[LivenessReason, ...] | None = None
    faces = 0
    for at_s, picture in _timed(frames):
        looked = chain.look(picture)
        faces += looked.main is not None
        passive.update(picture, looked.main, at_s)
        challenge.update(looked.main, at_s, clear=looked.quality.is_good)
        if early is None and at_s >= PASSIVE_S:
            early = passive.verdict()
        if early is not None and challenge.step is None:
            break
    late = passive.verdict()
    return Seen(late if early is None else early, late, challenge.passed, faces)


def _timed(frames: Iterable[Picture]) -> Iterator[tuple[float, Picture]]:
    return ((index / clips.FRAMES_PER_S, frame) for index, frame in enumerate(frames))


def _apcer(kind: str, seen: list[Seen]) -> Figures:
    caught = [sign for each in seen for sign in each.late]
    told = ", ".join(f"{sign} {caught.count(sign)}" for sign in sorted(set(caught)))
    return {
        f"apcer_passive_{kind}_percent": _percent([not each.early for each in seen]),
        f"apcer_passive_long_{kind}_percent": _percent([not each.late for each in seen]),
        f"apcer_challenge_alone_{kind}_percent": _percent([each.answered for each in seen]),
        f"apcer_challenge_{kind}_percent": _percent(
            [each.answered and not each.late for each in seen]
        ),
        f"signs_{kind}": told or "none",
    }


def _percent(errors: list[bool]) -> float:
    return round(100 * sum(errors) / len(errors), 1)


def _upper(errors: list[bool]) -> float:
    return round(100 * interval(sum(errors), len(errors))[1], 1)


def _eyes(chain: Chain, picture: Picture) -> tuple[tuple[float, float], tuple[float, float]] | None:
    scale = min(1.0, 800 / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = chain.find(np.asarray(small, np.uint8))
    if not faces:
        return None
    (ax, ay), (bx, by) = faces[0].right_eye, faces[0].left_eye
    return (ax / scale, ay / scale), (bx / scale, by / scale)


if __name__ == "__main__":
    print(json.dumps(figures(), ensure_ascii=False))
