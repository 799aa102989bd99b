"""Child processes that synthesize speech, whatever the synthesizer."""
