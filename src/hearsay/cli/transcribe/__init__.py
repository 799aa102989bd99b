"""`hearsay transcribe`: recordings to files of text, here or through a server."""
