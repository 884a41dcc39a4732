"""What users hand over: folders, files and lists, as sources of scans and labels."""
