"""Batched random changes of volumes (B, C, X, Y, Z), on any device; drawing apart from applying."""
