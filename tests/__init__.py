"""Tests mirror the sources: `test_<module>.py`; `compat` holds the vendors' own clients."""
