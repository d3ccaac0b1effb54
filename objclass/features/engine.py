"""Measure the objects of a time step, slab by slab."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from objclass.compute.meter import counted, present
from objclass.core import FloatArray
from objclass.features.blocks import FrameBlocks
from objclass.features.contract import Feature, Key
from objclass.features.frame import Frame
from objclass.features.gather import gather
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.kinds import Done, Statistic, closure
from objclass.features.statistics.per_object import Crop, PerObject

_CROP_BYTES = 5
"""Bytes for a voxel of a crop: its label, and whether it belongs to the object."""

AROUND_PART = 0.9
"""Rough part of the time that neighbourhoods take, if they are measured."""


def measure(frame: Frame, features: Iterable[Feature]) -> dict[Key, FloatArray]:
    """Measure the objects of a time step, slab by slab.

    Returns
    -------
    dict
        Key of each feature -> array of shape (n, k) in the dtype of its set; row i is object i + 1.
    """
    features = list(features)
    by_scope: dict[str, list[Feature]] = {}
    for wanted in features:
        by_scope.setdefault(wanted.scope, []).append(wanted)
    inside = by_scope.pop("object", [])
    needed = closure([Extent, *(s for f in inside for s in f.needs)])
    pixels = any(s.pixels for s in needed if not issubclass(s, PerObject))
    with present().reserved(AROUND_PART if by_scope else 0.0):
        done = gather(needed, FrameBlocks(frame, pixels), frame.context)
        _add_per_object(frame, needed, done)
    results = {f.key: _compute(f, done, frame.objects.count) for f in inside}
    if by_scope:
        results |= _measure_around(frame, by_scope, done[Extent])
    return {f.key: results[f.key] for f in features}


def _compute(feature: Feature, done: Done, count: int) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        numbers = np.asarray(feature.compute(*(done[s] for s in feature.needs)))
        return numbers.reshape(count, -1 if count else int(np.prod(numbers.shape[1:]))).astype(feature.dtype)


def _add_per_object(
    frame: Frame, needed: Sequence[type[Statistic]], done: dict[type[Statistic], Any]
) -> None:
    """Compute the statistics that need each object as a crop."""
    wanted = [s for s in needed if issubclass(s, PerObject)]
    done |= {s: s(at_once) for s in wanted if (at_once := s.of_all(frame, done[Extent])) is not None}
    wanted = [s for s in wanted if s not in done]
    for reach in sorted({s.reach for s in wanted}):
        now = [s for s in wanted if s.reach == reach]
        pixels = any(s.pixels for s in now)
        working = max(s.voxel_bytes * (frame.channels if s.pixels else 1) for s in now)
        numbers: dict[type[PerObject], list[Sequence[float]]] = {s: [] for s in now}
        cut = crops(frame, done[Extent], reach, pixels=pixels, voxel_bytes=_CROP_BYTES + working)
        for crop in counted(cut, frame.objects.count):
            for s in now:
                numbers[s].append(s.of(crop))
        for s in now:
            width = s.width(frame.objects.ndim, frame.channels)
            done[s] = s(np.array(numbers[s], np.float64).reshape(frame.objects.count, width))


def crops(frame: Frame, extent: Extent, reach: int, *, pixels: bool, voxel_bytes: int = 0) -> Iterator[Crop]:
    """The crop of each object, with ``reach`` voxels around it, clipped to the image.

    ``voxel_bytes`` is the memory for each of its voxels, which the limits must allow.
    """
    labels, ndim = frame.objects.labels, frame.objects.ndim
    total = int(np.prod(extent.high - extent.low + 1 + 2 * reach, axis=1).sum())
    for row in range(frame.objects.count):
        low = np.maximum(extent.low[row] - reach, 0)
        high = np.minimum(extent.high[row] + 1 + reach, frame.shape[::-1][:ndim])
        box = frame.fitting_box(low, high, row, voxel_bytes)
        raw = frame.read_raw(box) if pixels and frame.read_raw is not None else None
        if ndim == 2:
            raw = raw[0] if raw is not None else None
        mask = labels[box] == row + 1
        yield Crop(
            mask[0] if ndim == 2 else mask,
            raw,
            tuple(int(n) for n in low[::-1]),
            frame.spacing,
            total,
        )


def _measure_around(
    frame: Frame, by_scope: Mapping[str, Sequence[Feature]], extent: Extent
) -> dict[Key, FloatArray]:
    """Features of the pixels around each object (scopes ``context`` and ``both``)."""
    from objclass.features.neighbourhood import neighbourhoods

    parts: dict[Key, list[FloatArray]] = {f.key: [] for fs in by_scope.values() for f in fs}
    needed = {scope: closure(s for f in fs for s in f.needs) for scope, fs in by_scope.items()}
    for count, done in neighbourhoods(frame, extent, needed):
        for scope, features in by_scope.items():
            for f in features:
                parts[f.key].append(_compute(f, done[scope], count))
    return {key: np.concatenate(numbers) for key, numbers in parts.items()}
