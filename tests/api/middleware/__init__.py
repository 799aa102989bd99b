"""Tests of `hearsay.api.middleware`."""
