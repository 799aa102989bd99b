"""Pure functions on transcripts: subtitles, quality."""
