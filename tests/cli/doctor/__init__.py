"""Tests of `hearsay.cli.doctor`."""
