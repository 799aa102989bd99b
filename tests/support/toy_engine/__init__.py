"""An engine that exists in tests alone: what a folder in `hearsay.engines` must hold, and no more."""
