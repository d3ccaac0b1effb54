"""What leaves a run: images, tables, pictures of objects."""
