"""Engines: guests behind one-method protocols, one file or folder per runtime; third-party imports stay inside loaders."""
