"""The test engine: predictable answers, without weights."""
