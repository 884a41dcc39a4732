"""Losses: one pure function of tensors a file."""
