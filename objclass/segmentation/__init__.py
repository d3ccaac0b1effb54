"""From a prediction map, a segmentation or a label image to numbered objects.

Objects are numbered 1 … n in each time step by their first voxel in C order of (z, y, x). In
segmentations and thresholded maps they are connected components by direct neighbours (4 in a plane, 6
in a volume) of *equal* value; the ids of a label image stay together, connected or not.

All is done slab by slab: a slab is read (with the surroundings that smoothing needs) and labelled; what
touches over the seams is joined; then sizes are looked at, and what is left is numbered. Only the methods
that grow or cut over the whole image need it whole.
"""

from objclass.segmentation.find import find_objects
from objclass.segmentation.labelling import check_first_block, integral

__all__ = ["check_first_block", "find_objects", "integral"]
