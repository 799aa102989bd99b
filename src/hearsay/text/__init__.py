"""Pure functions on text: languages, language identification, sentences."""
