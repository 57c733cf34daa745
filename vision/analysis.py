"""All that is looked for in one camera's pictures, frame by frame. Pure: frames and times in."""

from collections.abc import Callable

import numpy as np

from vision.motion import Motion
from vision.presence import FindFaces, Presence, dlib_faces
from vision.report import Finding
from vision.scene import Scene, small_grey
from vision.settings import CameraSettings
from vision.tamper import Tamper


class Analysis:
    """Turns frames into findings."""

    def __init__(
        self,
        settings: CameraSettings,
        *,
        scene: str = "",
        make_detector: Callable[[], FindFaces] = dlib_faces,
    ) -> None:
        self._tamper = (
            Tamper(settings.tamper, Scene.decode(scene) if scene else None)
            if settings.tamper.enabled
            else None
        )
        # Somebody moving is what starts the search for a face.
        wanted = settings.motion.enabled or settings.presence.enabled
        self._motion = Motion(settings.motion) if wanted else None
        self._tell_motion = settings.motion.enabled
        self._presence = (
            Presence(settings.presence, make_detector()) if settings.presence.enabled else None
        )

    def scene(self) -> str:
        """The learned scene as text, empty before it is learned."""
        scene = self._tamper.scene if self._tamper else None
        return scene.encode() if scene else ""

    def update(self, frame: np.ndarray, now: float) -> list[Finding]:
        """Take one frame, ``(height, width, 3)`` BGR or ``(height, width)``, at ``now`` seconds."""
        grey = small_grey(frame)
        findings: list[Finding] = []
        if self._motion:
            moving = self._motion.update(grey, now)
            if moving and self._tell_motion:
                findings.append(moving)
        if self._motion and self._presence:
            quiet_s = self._motion.quiet_s(now)
            due = self._presence.due(now, quiet_s)
            present = self._presence.look(frame, now) if due else self._presence.tick(now)
            if present:
                findings.append(present)
        if self._tamper:
            occupied = self._presence is not None and self._presence.active
            findings += self._tamper.update(grey, now, occupied=occupied)
        return findings
