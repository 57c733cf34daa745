"""Cameras and what is recognised in their pictures.

Importing this package costs the agent nothing: OpenCV, dlib and NumPy live in capture processes.
"""

from vision.camera import Camera
from vision.settings import CameraSettings, MotionSettings, PresenceSettings, TamperSettings

__all__ = ["Camera", "CameraSettings", "MotionSettings", "PresenceSettings", "TamperSettings"]
