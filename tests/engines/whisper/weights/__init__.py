"""Tests of `hearsay.engines.whisper.weights`."""
