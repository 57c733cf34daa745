"""Why an identity decision is what it is: codes for programs, and a sentence for the screen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

QualityReason = Literal[
    "no_face",
    "several_faces",
    "too_small",
    "cut_off",
    "turned",
    "tilted",
    "covered",
    "blurred",
    "too_dark",
    "too_bright",
    "uneven_light",
]
LivenessReason = Literal[
    "challenge_failed",
    "challenge_timeout",
    "screen_pattern",
    "flat_motion",
    "paper_edges",
    "replayed",
    "attack_model",
]
OtherReason = Literal[
    "declined",
    "doubtful",
    "different",
    "unknown_person",
    "purpose_not_allowed",
    "portrait_unreadable",
    "portrait_no_face",
    "portrait_poor",
    "timeout",
    "busy",
    "cancelled",
    "camera_unavailable",
    "models_unavailable",
    "gallery_unusable",
    "not_enabled",
]
Reason = QualityReason | LivenessReason | OtherReason
Step = Literal["look", "turn_left", "turn_right", "nearer"]
"""What an active challenge asks for; left and right are the person's own."""

QUALITY_REASONS: frozenset[str] = frozenset(get_args(QualityReason))

TEXTS: Mapping[Reason | Step, tuple[str, str]] = MappingProxyType(
    {
        "no_face": ("请面对摄像头", "Please face the camera"),
        "several_faces": ("请一次一人", "One person at a time, please"),
        "too_small": ("请靠近一些", "Please come nearer"),
        "cut_off": ("请站到画面中央", "Please stand in the middle"),
        "turned": ("请正对摄像头", "Please look straight at the camera"),
        "tilted": ("请把头摆正", "Please hold your head upright"),
        "covered": ("请取下口罩、墨镜或帽子", "Please take off mask, sunglasses or hat"),
        "blurred": ("请保持不动", "Please hold still"),
        "too_dark": ("光线太暗", "It is too dark"),
        "too_bright": ("光线太强", "It is too bright"),
        "uneven_light": ("请避开侧光", "Please avoid light from the side"),
        "challenge_failed": (
            "动作不符, 请工作人员协助",
            "That was another movement; staff will help",
        ),
        "challenge_timeout": (
            "超时, 请重试或请工作人员协助",
            "Too slow; try again or ask for staff",
        ),
        "screen_pattern": ("请本人面对摄像头", "A screen is seen in place of a person"),
        "flat_motion": ("请本人面对摄像头", "A flat picture is seen in place of a person"),
        "paper_edges": ("请本人面对摄像头", "A print is seen in place of a person"),
        "replayed": ("请本人面对摄像头", "A recording is seen in place of a person"),
        "attack_model": ("请本人面对摄像头", "This does not look like a living person"),
        "declined": ("不使用人脸, 由工作人员核验", "Without face: staff will check"),
        "doubtful": ("无法确定, 由工作人员核验", "Not sure: staff will check"),
        "different": ("与证件照片不符", "Not the person of the document"),
        "unknown_person": ("未登记人员", "Not an enrolled person"),
        "purpose_not_allowed": ("未获此项授权", "Not enrolled for this purpose"),
        "portrait_unreadable": ("证件照片无法读取", "The document's picture cannot be read"),
        "portrait_no_face": ("证件照片中没有人脸", "No face in the document's picture"),
        "portrait_poor": ("证件照片质量不足", "The document's picture is too poor"),
        "timeout": ("超时, 由工作人员核验", "Out of time: staff will check"),
        "busy": ("正在核验他人, 请稍候", "Another check is under way"),
        "cancelled": ("已取消", "Cancelled"),
        "camera_unavailable": ("摄像头不可用, 由工作人员核验", "No camera: staff will check"),
        "models_unavailable": ("人脸核验不可用, 由工作人员核验", "No face check: staff will check"),
        "gallery_unusable": ("人员库不可用", "The list of staff cannot be used"),
        "not_enabled": ("人脸核验未启用, 由工作人员核验", "Not enabled: staff will check"),
        "look": ("请正视摄像头", "Please look at the camera"),
        "turn_left": ("请向左转头", "Please turn your head to your left"),
        "turn_right": ("请向右转头", "Please turn your head to your right"),
        "nearer": ("请靠近摄像头", "Please come nearer to the camera"),
    }
)
"""For the screen: Chinese, English."""
