"""Tests of `hearsay.engines`."""
