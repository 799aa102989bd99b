"""Voice activity detection: probabilities to spans of speech, spans to chunks."""
