"""Points for tracking programs (TrackMate's CSV importer, btrack): a row for each object, in the order of time.

Positions are pixel indices, centres of pixels at whole numbers; where the pixel size is known, they are also given in its
unit. The radius is that of a circle (in 3D a ball) of the size of the object.
"""

import math

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray, PixelSize
from objclass.export.columns import Columns
from objclass.export.files import LaneFiles
from objclass.export.objects.object_sink import CENTER, COUNT, ObjectSink
from objclass.export.tables.text import CsvWriter
from objclass.pipeline.lane import Step

UNMEASURED = ("", "px")
"""Units that say no more than pixels do."""


class TrackSink(ObjectSink):
    """Frame, position, label, class and radius of each object."""

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the file."""
        super().begin(files, context)
        self._writer = CsvWriter(self.temporary)
        self.cleanup.callback(self._writer.abort)

    def step(self, step: Step) -> None:
        """Write the rows of a time step."""
        center, count = step.table.values[CENTER], step.table.values[COUNT][:, 0]
        columns: Columns = {"frame": step.table.timestep, **positions(center), "label": step.table.label}
        classes = self.class_names(step)
        if classes is not None:
            columns["class"] = classes
        columns["radius"] = radius(count, step.objects.ndim)
        size = self.plan.carried_size(self.lane)
        if size is not None and size.unit not in UNMEASURED:
            columns |= physical(center, count, size)
        self._writer.append(columns)

    def finish(self) -> None:
        """Complete the file."""
        self._writer.close()


def positions(center: FloatArray) -> Columns:
    """Columns x, y, z of centres (n, 2) or (n, 3); z is 0 in 2D, since programs expect it."""
    x, y, *z = center.T
    return {"x": x, "y": y, "z": z[0] if z else np.zeros_like(x)}


def radius(size: AnyArray, ndim: int) -> FloatArray:
    """The radius of a circle or ball of that size, float32.

    Examples
    --------
    >>> radius(np.array([3.1415927]), 2), radius(np.array([4.1887902]), 3)
    (array([1.], dtype=float32), array([1.], dtype=float32))
    """
    size = size.astype(np.float64)
    if ndim == 2:
        return np.sqrt(size / np.pi).astype(np.float32)
    # one by one: the last bit of numpy's cube root depends on the processor
    return np.array([math.cbrt(n * 3 / (4 * math.pi)) for n in size], np.float32)


def physical(center: FloatArray, count: FloatArray, size: PixelSize) -> Columns:
    """Positions and radius in the unit of the pixel size."""
    spacing = size.spacing(center.shape[1])
    scaled = positions(center.astype(np.float64) * spacing[::-1])
    columns = {f"{axis}_{size.unit}": values.astype(np.float32) for axis, values in scaled.items()}
    scaled_count = count.astype(np.float64) * np.prod(spacing)
    return columns | {f"radius_{size.unit}": radius(scaled_count, center.shape[1])}
