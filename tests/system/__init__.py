"""Tests of `hearsay.system`."""
