"""Settings of a camera. Every default works; only ``name`` and ``source`` have none."""

from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints, model_validator

from vision.identity.settings import CameraIdentitySettings
from vision.plates.settings import CameraPlateSettings
from vision.section import Section
from vision.source import SourceKind, kind_of, redact

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
"""As ``contract.wire.Name``, which would bring the whole contract into each process of a camera."""
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]


def _known(source: str) -> str:
    kind_of(source)
    return source


Source = Annotated[str, AfterValidator(_known), PlainSerializer(redact), Field(repr=False)]


class TamperSettings(Section):
    """When a picture counts as black, frozen, blurred, covered or moved."""

    enabled: bool = True
    black_luma: float = Field(
        default=20.0, ge=0, le=255, description="99 of 100 pixels are darker than this."
    )
    black_s: Seconds = 3.0
    frozen_s: Seconds = Field(
        default=15.0, description="No pixel changed for so long; a live sensor's noise always does."
    )
    detail_lost_share: Share = Field(
        default=0.55, description="Of the detailed parts of the learned scene: blurred, covered."
    )
    detail_lost_s: Seconds = 5.0
    scene_match: Share = Field(
        default=0.3, description="Correlation with the learned scene below which it is another."
    )
    moved_s: Seconds = 15.0
    clear_s: Seconds = Field(default=6.0, description="Well for so long ends a condition.")
    learn_s: Seconds = Field(default=12.0, description="A steady view this long is the scene.")
    relearn_s: Seconds = Field(
        default=900.0, description="A moved camera that shows one new view so long has a new scene."
    )


class MotionSettings(Section):
    """When something counts as moving."""

    enabled: bool = True
    begin_percent: float = Field(default=0.5, gt=0, le=100, description="Of the picture's area.")
    end_percent: float = Field(default=0.25, gt=0, le=100)
    end_s: Seconds = 3.0


class PresenceSettings(Section):
    """When a person counts as present: a face towards the camera."""

    enabled: bool = True
    per_s: float = Field(default=2.0, gt=0, le=25, description="Looks for a face a second.")
    after_motion_s: Seconds = Field(default=10.0, description="Looks so long after a motion.")
    end_s: Seconds = Field(default=6.0, description="No face for so long ends a presence.")


class CameraSettings(Section):
    """One camera. The source is redacted wherever the settings are shown or dumped."""

    name: Name
    source: Source = Field(
        description="A file, an rtsp(s):// or http(s):// address, /dev/videoN or its number."
    )
    loop: bool = Field(default=True, description="A file starts again at its end.")
    frames_per_s: float = Field(
        default=5.0, gt=0, le=60, description="Frames a second that are analysed and shared."
    )
    open_timeout_s: Seconds = 10.0
    hang_s: Seconds = Field(default=5.0, description="No frame for so long: killed and restarted.")
    reconnect_min_s: Seconds = 1.0
    reconnect_max_s: Seconds = 30.0
    tamper: TamperSettings = TamperSettings()
    motion: MotionSettings = MotionSettings()
    presence: PresenceSettings = PresenceSettings()
    plates: CameraPlateSettings = CameraPlateSettings()
    identity: CameraIdentitySettings = CameraIdentitySettings()

    @model_validator(mode="after")
    def _pauses_in_order(self) -> "CameraSettings":
        if self.reconnect_max_s < self.reconnect_min_s:
            msg = "reconnect_max_s must not be below reconnect_min_s"
            raise ValueError(msg)
        return self

    @property
    def kind(self) -> SourceKind:
        """What the source is."""
        return kind_of(self.source)

    @property
    def shown(self) -> str:
        """The source without user, password and query: for logs and people."""
        return redact(self.source)
