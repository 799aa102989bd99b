"""Voice activity: probabilities to spans of speech, spans to chunks."""
