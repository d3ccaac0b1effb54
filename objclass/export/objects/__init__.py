"""Objects for other programs: each file is a sink, and its ids are the pixel values of the objects."""
