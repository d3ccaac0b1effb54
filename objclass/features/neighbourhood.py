"""The pixels around each object, as ilastik's "in neighborhood" features see them.

An object is cut out with ``margin`` pixels below and ``margin + 1`` pixels above its bounding box (as
far as the image goes). With M the largest margin and a pixel pitch of M // margin along each axis,
its neighbourhood are the pixels at an exact Euclidean distance below M from it. Other objects are
not left out.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from objclass.core import AnyArray
from objclass.features.statistics import Extent, Voxels, box_of

if TYPE_CHECKING:
    from objclass.features import Frame

BATCH = 1 << 21
"""Pixels of neighbourhoods that are held at a time."""


def neighbourhoods(frame: "Frame", extent: Extent, scopes: Sequence[str]) -> Iterator[dict[str, Voxels]]:
    """Samples of pixels, for batches of consecutive objects; in each one sample for each scope.

    The margins must be positive: with one of 0 distances are not defined.
    """
    batch: list[dict[str, AnyArray]] = []
    held = 0
    for row in range(frame.objects.count):
        batch.append(_around(frame, extent, row, scopes))
        held += sum(pixels.size for pixels in batch[-1].values())
        if held > BATCH:
            yield _samples(batch, scopes, frame.channels)
            batch, held = [], 0
    yield _samples(batch, scopes, frame.channels)


def _around(frame: "Frame", extent: Extent, row: int, scopes: Sequence[str]) -> dict[str, AnyArray]:
    """Pixels (channels, v) of one object for each scope."""
    margin = np.array(frame.margin[: frame.objects.ndim])
    size = np.array(frame.shape[::-1][: frame.objects.ndim])
    low = np.maximum(extent.low[row] - margin, 0)
    high = np.minimum(extent.high[row] + 2 + margin, size)
    box = box_of(low, high)
    outside = frame.objects.labels[box] != row + 1
    reach = int(margin.max())
    pitch = (1, *(reach // margin)[::-1])[-3:]
    near = distance_transform_edt(outside, sampling=pitch) < reach
    assert frame.read_raw is not None
    raw = frame.read_raw(box)
    chosen = {"context": near & outside, "both": near}
    return {scope: raw[chosen[scope]].T for scope in scopes}


def _samples(batch: Sequence[dict[str, AnyArray]], scopes: Sequence[str], channels: int) -> dict[str, Voxels]:
    """The pixels of a batch of objects, side by side."""
    samples = {}
    for scope in scopes:
        pixels = [one[scope] for one in batch]
        rows = np.repeat(np.arange(len(batch)), [p.shape[1] for p in pixels])
        raw = np.concatenate(pixels, axis=1) if pixels else np.zeros((channels, 0))
        samples[scope] = Voxels(len(batch), rows, raw, common_range=False)
    return samples
