"""Quality on real speech: recordings derived from real ones, the systems compared on them, and the scores."""
