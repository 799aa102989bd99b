"""Loaded models, leases, and the queue from which batches are made."""
