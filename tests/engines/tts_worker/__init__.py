"""Tests of `hearsay.engines.tts_worker`."""
