"""`hearsay serve`: the server, its banner and its logs."""
