"""Tests of `hearsay.engines.onnx_tts`."""
