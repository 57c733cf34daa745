"""Black, frozen, blurred, covered or moved: what somebody, or the weather, did to a camera.

Fed with small grey pictures and their times; knows nothing of where they come from.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from vision.hold import Hold
from vision.report import Condition, Evidence, Tampered
from vision.scene import Float, Grey, Learner, Likeness, Scene, View, sharpness
from vision.settings import TamperSettings

_RECENT_S = 0.7
"""Pictures are averaged over this time before they are compared: sensor noise goes."""
_FOLLOW_S = 300.0
"""The scene follows slow change (daylight, a parked car) with this time constant."""
_STEADY_S = 5.0
"""A moved camera holds its new view; a person who fills the picture does not hold still."""
_LONGEST_STEP_S = 1.0
_BRIGHT_SHARE = 0.01
_COARSE_KEPT = 0.65
"""Correlation of block brightness above which lost detail means blur, below which a cover."""
_FAMILIAR = 0.5
"""The scene follows only pictures that match it so well."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look, before any holding: which conditions there are."""

    black: bool
    frozen: bool
    blurred: bool
    covered: bool
    moved: bool


class Tamper:
    """Watches one camera's picture for tampering."""

    def __init__(self, settings: TamperSettings, scene: Scene | None = None) -> None:
        self._settings = settings
        self._scene = scene
        self._learner = Learner()
        self._recent: Float | None = None
        self._last: Grey | None = None
        self._last_s = 0.0
        self._changed_s = 0.0
        hold = settings.clear_s
        self._holds: dict[Condition, Hold] = {
            "black": Hold(settings.black_s, hold),
            "frozen": Hold(0, 0),
            "blurred": Hold(settings.detail_lost_s, hold),
            "covered": Hold(settings.detail_lost_s, hold),
            "moved": Hold(0, 0),
        }
        self._strange = Hold(settings.moved_s, hold)

    @property
    def scene(self) -> Scene | None:
        """The scene learned so far."""
        return self._scene

    @property
    def active(self) -> tuple[Condition, ...]:
        """The conditions that hold now."""
        return tuple(name for name, hold in self._holds.items() if hold.active)

    def update(self, grey: Grey, now: float, *, occupied: bool = False) -> list[Tampered]:
        """Take one picture, ``(height, width)``, and its time in seconds.

        ``occupied``: somebody stands before the camera, who may well hide the scene.
        """
        elapsed = self._note(grey, now)
        recent = self._average(grey, elapsed)
        view = View.of(recent)
        likeness = self._compare(view)
        black = self._is_black(grey)
        frozen = now - self._changed_s >= self._settings.frozen_s
        if not (black or frozen):
            self._learner.update(recent, view, elapsed)
            self._learn(recent, elapsed, likeness)
        seen = self._judge(likeness, now, black=black, frozen=frozen, occupied=occupied)
        changes = []
        for name, hold in self._holds.items():
            phase = hold.update(now, on=getattr(seen, name))
            if phase:
                changes.append(
                    Tampered(
                        condition=name,
                        phase=phase,
                        duration_s=round(hold.lasted_s(now), 3) if phase == "end" else None,
                        evidence=self._evidence(grey, now, likeness),
                    )
                )
        return changes

    def _note(self, grey: Grey, now: float) -> float:
        """Remember the picture; return the seconds since the one before."""
        if self._last is None or grey.shape != self._last.shape:
            self._recent = None
            self._learner = Learner()
            if self._scene and self._scene.picture.shape != grey.shape:
                self._scene = None
            elapsed, self._changed_s = 0.0, now
        else:
            elapsed = min(max(now - self._last_s, 0.0), _LONGEST_STEP_S)
            if not np.array_equal(grey, self._last):
                self._changed_s = now
        self._last, self._last_s = grey, now
        return elapsed

    def _average(self, grey: Grey, elapsed: float) -> Float:
        if self._recent is None:
            self._recent = grey.astype(np.float32)
        else:
            self._recent += (1 - math.exp(-elapsed / _RECENT_S)) * (grey - self._recent)
        return self._recent

    def _is_black(self, grey: Grey) -> bool:
        bright = np.count_nonzero(grey > self._settings.black_luma)
        limit = _BRIGHT_SHARE * (2 if self._holds["black"].active else 1)
        return bool(bright <= limit * grey.size)

    def _compare(self, view: View) -> Likeness | None:
        if self._scene is None:
            return None
        likeness = self._scene.view.compare(view)
        return likeness if likeness.judgeable else None

    def _learn(self, recent: Float, elapsed: float, likeness: Likeness | None) -> None:
        steady_s = self._learner.steady_s
        if self._scene is None:
            if steady_s >= self._settings.learn_s:
                self._scene = self._learner.scene()
        elif self._holds["moved"].active and steady_s >= self._settings.relearn_s:
            self._scene = self._learner.scene()
        elif likeness and likeness.match > _FAMILIAR and not self.active:
            self._scene.follow(recent, elapsed, _FOLLOW_S)

    def _judge(
        self, likeness: Likeness | None, now: float, *, black: bool, frozen: bool, occupied: bool
    ) -> _Seen:
        blurred, covered, moved = (
            self._holds[name].active for name in ("blurred", "covered", "moved")
        )
        if likeness and not (black or frozen):
            blurred, covered = self._detail(likeness, occupied=occupied)
            moved = self._elsewhere(likeness, now, hidden=blurred or covered or occupied)
        elif black:
            blurred = covered = False
        return _Seen(
            black=black,
            frozen=frozen and not black,
            blurred=blurred,
            covered=covered,
            moved=moved,
        )

    def _detail(self, likeness: Likeness, *, occupied: bool) -> tuple[bool, bool]:
        """Say whether the picture is blurred, and whether it is covered."""
        active = self._holds["blurred"].active or self._holds["covered"].active
        limit = self._settings.detail_lost_share * (0.7 if active else 1)
        if likeness.detail_lost < limit:
            return False, False
        coarse = _COARSE_KEPT + (0.1 if self._holds["covered"].active else 0)
        return likeness.coarse >= coarse, likeness.coarse < coarse and not occupied

    def _elsewhere(self, likeness: Likeness, now: float, *, hidden: bool) -> bool:
        """Say whether the view has long been another one, and is steady by now."""
        active = self._holds["moved"].active
        limit = self._settings.scene_match + (0.15 if active else 0)
        strange = likeness.match < limit
        self._strange.update(now, on=strange)
        steady = strange and not hidden and self._learner.steady_s >= _STEADY_S
        return self._strange.active and (active or steady)

    def _evidence(self, grey: Grey, now: float, likeness: Likeness | None) -> Evidence:
        mean, deviation = cv2.meanStdDev(grey)
        return Evidence(
            luma_mean=round(float(mean[0][0]), 1),
            luma_std=round(float(deviation[0][0]), 1),
            sharpness=round(sharpness(grey), 1),
            sharpness_usual=round(self._scene.sharpness(), 1) if self._scene else None,
            still_s=round(now - self._changed_s, 3),
            scene_match=round(likeness.match, 3) if likeness else None,
        )
