"""Cameras and what is recognised in their pictures.

Importing this package costs nothing: the agent pays for no OpenCV, dlib or NumPy, which live in the
processes of cameras, and those pay for nothing of the agent's.
"""

import os

# ONNX Runtime else names the device and reports to its maker, from the moment it is imported on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
