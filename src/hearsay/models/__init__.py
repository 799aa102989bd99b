"""Models that can be named: catalogue, names, downloads, checksums."""
