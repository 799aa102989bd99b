"""Tests of `hearsay.storage`."""
