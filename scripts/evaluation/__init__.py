"""Compares the shipped models with other methods of stain normalisation, on the same pixels in one run."""

# Before ONNX Runtime, whose telemetry it switches off.
import dcgmm  # noqa: F401
