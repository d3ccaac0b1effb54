"""From a prediction map, a segmentation or a label image to numbered objects.

Objects are numbered 1 … n in each time step by their first voxel in C order of (z, y, x). In
segmentations and thresholded maps they are connected components by direct neighbours (4 in a plane, 6
in a volume) of *equal* value; the ids of a label image stay together, connected or not.

Images are processed slab by slab: a slab is read (with the halo that smoothing needs) and labelled;
components that touch over the seams are joined; then components are filtered by size and numbered. Only
the methods that grow or cut over the whole image need it in memory.
"""

from objclass.segmentation.find import find_objects
from objclass.segmentation.labelling import check_first_block, integral

__all__ = ["check_first_block", "find_objects", "integral"]
