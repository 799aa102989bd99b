"""Tests of `hearsay.asr`."""
