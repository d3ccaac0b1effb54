"""The true convex hull, and its part outside of the object.

The convex image is made of all pixels whose centres lie in the convex hull of the midpoints of the
object's pixel sides (scikit-image's ``convex_hull_image``), so it holds the object. A defect is a
component of the rest of it (direct neighbours: 4 in a plane, 6 in a volume), be it a bay or a hole.
In 3D, flat objects have a convex image, too: in scikit-image, and so in the set ``regionprops``, it is
empty.

All numbers are in pixels, whatever their size. ilastik's features of that name are those of the
bounding box: see `objclass.features.sets.ilastik_hull`.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features.contract import FeatureSet
from objclass.features.sets.ilastik_hull import components
from objclass.features.sets.regionprops import convex_image
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.per_object import Crop, PerObject

FEATURES = FeatureSet("hull", dtype=np.float64, hyphen=True, prefix="")
feature = FEATURES.feature


# ---------------------------------------------------------------------------- statistics


class Hull(PerObject):
    """The part of the convex image outside of the object.

    The columns of ``numbers``: number of defects; their pixels; mean, standard deviation and largest
    of their sizes; distance of the object's centroid to that of the convex image, and, by size, to
    those of the defects; sums of the defects' coordinates (z,) y, x.
    """

    pixels: ClassVar[bool] = False

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Find the defects of one object and sum them up."""
        free = convex_image(crop.mask) & ~crop.mask
        if not free.any():
            return [0.0] * (7 + free.ndim)
        which = components(free)[free] - 1
        sizes = np.bincount(which)
        count, total = np.count_nonzero(crop.mask), len(which)
        own, sums = _coordinate_sums(crop.mask), _coordinate_sums(free)
        shift = (own + sums) / (count + total) - own / count
        centers = np.column_stack([np.bincount(which, p) / sizes for p in np.nonzero(free)])
        away = np.linalg.norm(centers - own / count, axis=1)
        return [
            len(sizes),
            total,
            sizes.mean(),
            sizes.std(),
            sizes.max(),
            np.sqrt((shift * shift).sum()),  # not by BLAS, whose order of summation depends on the processor
            (sizes * away).sum() / total,
            *(sums + total * np.array(crop.origin)),
        ]

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Seven numbers and the sums of the coordinates."""
        return 7 + ndim


def _coordinate_sums(mask: NDArray[np.bool_]) -> IntArray:
    """Sums of the coordinates of its pixels (d,)."""
    axes = range(mask.ndim)
    counts = [np.count_nonzero(mask, axis=tuple(a for a in axes if a != axis)) for axis in axes]
    return np.array([np.arange(len(n)) @ n for n in counts])


# ---------------------------------------------------------------------------- features


@feature("area", title="hull_area", unit="pixels")
def area(extent: Extent, hull: Hull) -> FloatArray:
    """Number of pixels of the convex image: those whose centres lie in the object's convex hull."""
    return extent.count + hull.numbers[:, 1]


@feature("solidity", title="hull_solidity")
def solidity(extent: Extent, hull: Hull) -> FloatArray:
    """Fraction of the convex image that belongs to the object."""
    return extent.count / area(extent, hull)


@feature("center", title="hull_center", shape=("axis",), unit="px", location=True)
def center(extent: Extent, hull: Hull) -> AnyArray:
    """Mean coordinates of the convex image in the order (plane,) row, column."""
    return (extent.total[:, ::-1] + hull.numbers[:, 7:]) / area(extent, hull)[:, None]


@feature("center_offset", title="hull_center_offset", unit="px")
def center_offset(hull: Hull) -> FloatArray:
    """Distance between the centroids of the object and of its convex image."""
    return hull.numbers[:, 5]


@feature("defect_count", title="hull_defect_count")
def defect_count(hull: Hull) -> FloatArray:
    """Number of defects: direct-connected components of the convex image without the object."""
    return hull.numbers[:, 0]


@feature("defect_share", title="hull_defect_share")
def defect_share(extent: Extent, hull: Hull) -> FloatArray:
    """Fraction of the convex image that belongs to defects."""
    return hull.numbers[:, 1] / area(extent, hull)


@feature("defect_area_mean", title="hull_defect_area_mean", unit="pixels")
def defect_area_mean(hull: Hull) -> FloatArray:
    """Mean number of pixels of the defects, 0 without any."""
    return hull.numbers[:, 2]


@feature("defect_area_std", title="hull_defect_area_std", unit="pixels")
def defect_area_std(hull: Hull) -> FloatArray:
    """Standard deviation (of the population) of their numbers of pixels, 0 for fewer than two."""
    return hull.numbers[:, 3]


@feature("defect_area_max", title="hull_defect_area_max", unit="pixels")
def defect_area_max(hull: Hull) -> FloatArray:
    """Number of pixels of the largest defect, 0 without any."""
    return hull.numbers[:, 4]


@feature("defect_offset", title="hull_defect_offset", unit="px")
def defect_offset(hull: Hull) -> FloatArray:
    """Mean distance of the centroids of the defects to that of the object, weighted by size; 0 without any."""
    return hull.numbers[:, 6]
