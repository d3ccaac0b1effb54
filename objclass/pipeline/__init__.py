"""One lane, from its images to a table and classes."""
