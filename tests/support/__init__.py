"""Tests of `hearsay.support`."""
