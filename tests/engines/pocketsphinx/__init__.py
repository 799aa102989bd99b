"""Tests of `hearsay.engines.pocketsphinx`."""
