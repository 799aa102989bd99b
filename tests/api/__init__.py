"""Tests of `hearsay.api`."""
