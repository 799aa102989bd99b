"""Transcription of a recording by a recogniser: chunks, windows in flight, hallucination filter."""
