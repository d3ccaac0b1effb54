"""A result image in memory."""

from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, Lane, from_canonical
from objclass.export.paint import Paint, painter
from objclass.pipeline.lane import Step

SOURCES = {
    "labels": "Object Identities",
    "classes": "Object Predictions",
    "probabilities": "Object Probabilities",
}
"""Name in Python -> name of the result image."""


class PaintedArray:
    """An image that is painted time step by time step.

    Parameters
    ----------
    name
        One of `SOURCES`. Objects of a label image have their own ids in ``labels``, in the dtype of that
        image, others uint32; ``classes`` are uint8, ``probabilities`` float32 with the classes as last axis.
    lane
        The lane; the image has the axes of its objects image, without the channel.
    classes
        Number of classes.
    """

    def __init__(self, name: str, lane: Lane, classes: int) -> None:
        self._source, self._axes = SOURCES[name], lane.objects.axes.replace("c", "")
        dtype: Any = np.uint8
        channels = 1
        if name == "labels":
            dtype = _label_dtype(lane)
        elif name == "probabilities":
            dtype, channels, self._axes = np.float32, classes, f"{self._axes}c"
        self._pixels = np.zeros((*lane.objects.shape[:4], channels), dtype)

    def step(self, step: Step, context: Context) -> None:
        """Paint a time step, slab by slab."""
        labels, paint = step.objects.labels, self._paint(step)
        for slab in context.limits.slabs(labels.shape):
            box = slab.within(labels.shape)
            self._pixels[(step.t, *box)] = paint(labels[box])

    def image(self) -> AnyArray:
        """The painted image, in the user's axes."""
        return from_canonical(self._pixels, self._axes)

    def _paint(self, step: Step) -> Paint:
        original = step.objects.original
        if self._source != SOURCES["labels"] or original is None:
            return painter(self._source, step.predictions)
        ids = np.concatenate([np.zeros(1, original.dtype), original])
        return lambda labels: ids[labels][..., None]


def _label_dtype(lane: Lane) -> np.dtype[Any]:
    if lane.role != "label_image":
        return np.dtype(np.uint32)
    return lane.objects.dtype if lane.objects.dtype.kind in "iu" else np.dtype(np.int64)
