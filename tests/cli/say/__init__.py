"""Tests of `hearsay.cli.say`."""
