"""PocketSphinx: US English recognition that needs no download."""
