"""Objects for other programs: outlines, points and tables whose ids are the pixel values of the objects."""
