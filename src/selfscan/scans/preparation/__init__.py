"""The steps of `prepare`: from a scan as it was read to a scan as the store keeps it."""
