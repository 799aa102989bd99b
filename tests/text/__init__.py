"""Tests of `hearsay.text`."""
