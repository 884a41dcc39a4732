"""From files on disk to crops in memory: find, read, prepare, store, crops."""
