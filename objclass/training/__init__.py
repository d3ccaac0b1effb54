"""Training: from labelled objects, or painted pixels, to a project."""
