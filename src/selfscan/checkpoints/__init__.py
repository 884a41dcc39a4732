"""Trained weights on disk, with all that is needed to use them, and how they enter a network."""
