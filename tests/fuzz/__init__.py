"""Tests of `hearsay.fuzz`."""
