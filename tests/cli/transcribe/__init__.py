"""Tests of `hearsay.cli.transcribe`."""
