"""Benchmarks, run by hand: each prints ratios and its conditions; `make bench` runs them."""
