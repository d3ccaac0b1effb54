"""One file per image format: its reader, its writer, what it can hold."""
