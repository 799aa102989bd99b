"""Tests of `hearsay.tts`."""
