"""Whisper's decoder on OpenVINO, with sequences that join and leave a running batch."""
