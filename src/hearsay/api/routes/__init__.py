"""The endpoints, one module per group of paths."""
