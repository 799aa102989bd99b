"""Tests of `hearsay.vad`."""
