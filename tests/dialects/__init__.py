"""Tests of `hearsay.dialects`."""
