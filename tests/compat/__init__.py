"""The vendors' own clients, unchanged, against a live server."""
