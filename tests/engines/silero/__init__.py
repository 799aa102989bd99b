"""Tests of `hearsay.engines.silero`."""
