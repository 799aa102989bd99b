"""Tests of `hearsay.models`."""
