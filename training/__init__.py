"""How the shipped models are made: synthetic plates, training, export, evaluation."""

import vision  # noqa: F401 - before ONNX Runtime, whose telemetry it switches off
