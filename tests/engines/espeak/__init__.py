"""Tests of `hearsay.engines.espeak`."""
