"""Tests of `hearsay.processes`."""
