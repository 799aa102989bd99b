"""Tests of `hearsay.media`."""
