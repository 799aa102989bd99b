"""Tests of `hearsay.scheduling`."""
