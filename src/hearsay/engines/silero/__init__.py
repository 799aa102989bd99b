"""Silero VAD: probabilities of speech, frame by frame."""
