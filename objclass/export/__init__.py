"""The outputs of a run: images, tables, pictures of objects."""
