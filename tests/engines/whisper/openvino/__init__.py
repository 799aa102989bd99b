"""Tests of `hearsay.engines.whisper.openvino`."""
