"""`hearsay doctor`: checks of this machine, and a known clip transcribed."""
