"""Measurements by hand: each prints ratios and says on what; `make bench` runs them."""
