"""Tests of `hearsay.transcripts`."""
