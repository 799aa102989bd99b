"""Tests of `hearsay.engines.whisper`."""
