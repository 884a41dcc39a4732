"""Trained networks on their way to other programs, compared before they count as written."""
