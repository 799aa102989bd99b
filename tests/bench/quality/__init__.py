"""Tests of `hearsay.bench`."""
