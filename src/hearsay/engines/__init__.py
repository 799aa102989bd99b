"""Engines: guests behind small protocols, one file or folder per runtime.

Third-party imports stay inside the loaders.
"""
