"""Tests of `hearsay.compat.drivers`."""
