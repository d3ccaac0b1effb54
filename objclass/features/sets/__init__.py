"""Feature sets, one file each."""
