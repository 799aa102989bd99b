"""Tests of `hearsay.client`."""
