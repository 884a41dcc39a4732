"""File formats: each module reads one kind of file, and its faults, to a `Scan`."""
