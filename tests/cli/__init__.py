"""Tests of `hearsay.cli`."""
