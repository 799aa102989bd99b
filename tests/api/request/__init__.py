"""Tests of `hearsay.api.request`."""
