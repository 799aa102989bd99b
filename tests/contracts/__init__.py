"""Tests of `hearsay.contracts`."""
