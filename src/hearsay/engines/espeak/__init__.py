"""espeak-ng: speech synthesis by formants, in about a hundred languages."""
