"""The HTTP API: the only room that imports the web framework."""
