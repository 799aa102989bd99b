"""Tests of `hearsay.engines.sherpa`."""
