"""Tests of `hearsay.cli.serve`."""
