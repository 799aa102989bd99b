"""Hearsay: a speech server that speaks the hosted APIs on your own machines."""

__version__ = "0.1.0"
