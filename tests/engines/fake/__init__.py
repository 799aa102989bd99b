"""Tests of `hearsay.engines.fake`."""
