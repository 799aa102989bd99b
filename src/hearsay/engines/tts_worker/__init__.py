"""Child processes that synthesize speech, whatever the synthesizer: their pool, and the utterances."""
