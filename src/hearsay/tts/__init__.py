"""Text to a stream of audio: choice of voice, synthesis utterance by utterance."""
