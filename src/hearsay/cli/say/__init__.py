"""`hearsay say`: text to a player or an audio file."""
