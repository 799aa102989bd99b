"""Whisper of every size and family, loaded from a local folder, on CPU or GPU; `loading` is the entry."""
