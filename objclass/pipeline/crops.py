"""Crops: objects cut out of their images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, Lane
from objclass.features.geometry import box_of
from objclass.images.blockwise import box_reader
from objclass.pipeline.lane import Step


@dataclass(frozen=True)
class ObjectImage:
    """A crop of an object: ``mask`` (uint8, 1 on the object) and ``raw``, both with axes t, z, y, x, c."""

    mask: NDArray[np.uint8]
    raw: AnyArray | None


def object_images(lane: Lane, step: Step, margin: int, context: Context) -> list[ObjectImage]:
    """A crop of each object of a time step, with ``margin`` pixels around it, clipped to the image."""
    low, high = (step.table.values["Default features", f"Coord<{end}>"] for end in ("Minimum", "Maximum"))
    size = np.array(lane.objects.shape[3 : 3 - step.objects.ndim : -1])
    read = box_reader(lane.raw, step.t, context) if lane.raw is not None else None
    crops = []
    for row in range(step.objects.count):
        start = np.maximum(low[row] - margin, 0).astype(int)
        box = box_of(start, np.minimum(high[row] + margin, size))
        mask = (step.objects.labels[box] == row + 1).astype(np.uint8)
        crops.append(ObjectImage(mask[None, ..., None], read(box)[None] if read is not None else None))
    return crops
