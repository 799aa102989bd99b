"""Tests of `hearsay.api.routes`."""
