"""The neighbourhood of each object: the pixels that ilastik's "in neighborhood" features measure.

An object is cut out with ``margin`` pixels below and ``margin + 1`` pixels above its bounding box (as
far as the image goes). With M the largest margin and a pixel pitch of M // margin along each axis,
its neighbourhood are the pixels at an exact Euclidean distance below M from it. Other objects are
not left out.

There are two formulations, and their numbers are equal: `_samples` finds the pixels for any statistic
to gather (scipy, numpy); `measure_around` finds and folds them, compiled, for those in `FOLDED`. Pitches
are integers, so that its squared distances are, too: it compares those.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import AnyArray, IntArray
from objclass.features.geometry import batches, box_of, columns_xyz, together
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.intensity import (
    BINS,
    EPS,
    FLT_MAX,
    Central,
    Histogram,
    Intensity,
    Spread,
    histogram_range,
)
from objclass.features.statistics.kinds import Done, Statistic
from objclass.features.statistics.scatter import ChannelScatter
from objclass.features.voxels import Voxels

if TYPE_CHECKING:
    from objclass.features.frame import Frame

BATCH = 1 << 21
"""Maximum number of pixels of neighbourhoods in memory."""

SLAB = 1 << 22
"""Number of pixels that are read at once if objects are dense."""

FOLDED_BYTES, FOLDED_CHANNEL_BYTES = 16, 9
"""Bytes of working memory for a pixel of a crop, and for each of its channels."""

GATHERED_BYTES = 56
"""Bytes for a pixel of a crop without compiled code: distances need more than the channels."""

FOLDED = frozenset((Intensity, Spread, Central, Histogram, ChannelScatter))
"""The statistics of neighbourhoods that `measure_around` computes."""

FURTHEST = 30_000
"""Maximum margin of the kernel: squared distances stay far below the limit of int32."""

GREYS = 1 << 16
"""Number of values of integers of up to 16 bits."""

NONE = -1

WORK = 1 << 25
"""Pixels of crops that a thread goes through at once, before it looks whether the run was asked to end: about half a second."""

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def neighbourhoods(
    frame: "Frame", extent: Extent, needed: Mapping[str, Sequence[type[Statistic]]]
) -> Iterator[tuple[int, dict[str, Done]]]:
    """Statistics of neighbourhoods, for batches of consecutive objects.

    The margins must be positive: with one of 0 distances are not defined.

    Parameters
    ----------
    frame, extent
        The objects and their bounding boxes.
    needed
        For each scope (``"context"``, ``"both"``) the required statistics.

    Yields
    ------
    tuple
        Number of objects, and for each scope the finished statistics.
    """
    low, high = _crops(frame, extent.low, extent.high)
    work = int(np.prod(high - low, axis=1).sum()) * len(needed)
    able = all(FOLDED.issuperset(statistics) for statistics in needed.values())
    able &= frame.objects.count > 0 and max(frame.margin) < FURTHEST
    function = around.choose(work * frame.context.limits.images) if able else None
    folded_bytes = FOLDED_BYTES + FOLDED_CHANNEL_BYTES * frame.channels
    frame.check_boxes(low, high, GATHERED_BYTES if function is None else folded_bytes)
    if function is None:
        yield from _gathered(frame, low, high, needed)
        return

    def fold(runs: Sequence[range]) -> tuple[int, dict[str, Done]]:
        count = sum(map(len, runs))
        return count, {scope: folded(function, frame, extent, runs, scope) for scope in needed}

    # the batches of all threads together use as much memory as one
    voxels = SLAB // frame.channels // frame.context.limits.jobs
    runs = _cut(batches(low, high, voxels), low, high)
    groups = list(_grouped(runs, low, high, voxels))
    yield from frame.context.ordered(fold, groups)


def _cut(runs: Iterable[range], low: IntArray, high: IntArray) -> Iterator[range]:
    """Cut runs of objects whose crops overlap so much that they are a lot of work."""
    volumes = np.prod(high - low, axis=1)
    for run in runs:
        length = max(int(len(run) * WORK // volumes[run.start : run.stop].sum()), 1)
        yield from (run[start : start + length] for start in range(0, len(run), length))


def _grouped(runs: Iterable[range], low: IntArray, high: IntArray, voxels: int) -> Iterator[list[range]]:
    """Runs of objects that a thread takes at once: the features of one object take as long as those of many."""
    volumes = np.prod(high - low, axis=1)
    group, held = list[range](), 0
    for run in runs:
        group.append(run)
        held += int(volumes[run.start : run.stop].sum())
        if held >= voxels:
            yield group
            group, held = [], 0
    if group:
        yield group


def _crops(frame: "Frame", low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """First and last (exclusive) coordinates x, y(, z) of the crop of each object (n, d).

    ``low`` and ``high`` are first and last (inclusive) coordinates of the objects.
    """
    ndim = frame.objects.ndim
    margin, size = np.array(frame.margin[:ndim]), np.array(frame.shape[::-1][:ndim])
    return np.maximum(low - margin, 0), np.minimum(high + 2 + margin, size)


def _pitch(frame: "Frame") -> tuple[int, IntArray]:
    """The radius of a neighbourhood, and the distances between pixels along x, y(, z)."""
    margin = np.array(frame.margin[: frame.objects.ndim])
    reach = int(margin.max())
    return reach, reach // margin


# ---------------------------------------------------------------------------- gathered by numpy


def _gathered(
    frame: "Frame", low: IntArray, high: IntArray, needed: Mapping[str, Sequence[type[Statistic]]]
) -> Iterator[tuple[int, dict[str, Done]]]:
    """Any statistics of neighbourhoods, by numpy."""
    from objclass.features.gather import gather

    for samples in _samples(frame, low, high, tuple(needed)):
        done: dict[str, Done] = {scope: gather(needed[scope], [samples[scope]]) for scope in needed}
        yield next(iter(samples.values())).count, done


def _samples(
    frame: "Frame", low: IntArray, high: IntArray, scopes: Sequence[str]
) -> Iterator[dict[str, Voxels]]:
    """The pixels around batches of objects; a sample for each scope and batch."""
    batch: list[dict[str, AnyArray]] = []
    held = 0
    for row in range(frame.objects.count):
        batch.append(_around(frame, row, low[row], high[row], scopes))
        held += sum(pixels.size for pixels in batch[-1].values())
        if held > BATCH:
            yield _side_by_side(batch, scopes, frame.channels)
            batch, held = [], 0
    yield _side_by_side(batch, scopes, frame.channels)


def _around(
    frame: "Frame", row: int, low: IntArray, high: IntArray, scopes: Sequence[str]
) -> dict[str, AnyArray]:
    """Pixels (channels, v) of one object for each scope."""
    from scipy.ndimage import distance_transform_edt

    box = box_of(low, high)
    outside = frame.objects.labels[box] != row + 1
    reach, pitch = _pitch(frame)
    near = distance_transform_edt(outside, sampling=(1, *pitch[::-1])[-3:]) < reach
    assert frame.read_raw is not None
    raw = frame.read_raw(box)
    chosen = {"context": near & outside, "both": near}
    return {scope: raw[chosen[scope]].T for scope in scopes}


def _side_by_side(
    batch: Sequence[dict[str, AnyArray]], scopes: Sequence[str], channels: int
) -> dict[str, Voxels]:
    """The pixels of a batch of objects."""
    samples = {}
    for scope in scopes:
        pixels = [one[scope] for one in batch]
        rows = np.repeat(np.arange(len(batch)), [p.shape[1] for p in pixels])
        raw = np.concatenate(pixels, axis=1) if pixels else np.zeros((channels, 0))
        samples[scope] = Voxels(len(batch), rows, raw, common_range=False)
    return samples


# ---------------------------------------------------------------------------- folded by a kernel


def folded(function: Any, frame: "Frame", extent: Extent, runs: Sequence[range], scope: str) -> Done:
    """The statistics `FOLDED` of the neighbourhoods of some objects.

    Parameters
    ----------
    function
        `measure_around`, compiled.
    frame, extent
        The objects and their bounding boxes.
    runs
        Consecutive objects; what is around those of a run is read at once.
    scope
        ``"context"`` or ``"both"``.
    """
    parts = []
    for rows in runs:
        frame.context.stop.check()
        parts.append(_sums(function, frame, extent, rows, scope))
    count, moments, bins, matrix = map(np.concatenate, zip(*parts, strict=True))
    total, lowest, largest, m2, m3, m4 = np.ascontiguousarray(moments.transpose(1, 2, 0))
    intensity = Intensity(count, total, lowest, largest)
    return {
        Intensity: intensity,
        Spread: Spread(count, total, m2),
        Central: Central(m3, m4),
        Histogram: Histogram(bins, *histogram_range(intensity, common=False)),
        ChannelScatter: ChannelScatter(count, total.T, matrix),
    }


def _sums(function: Any, frame: "Frame", extent: Extent, rows: range, scope: str) -> tuple[AnyArray, ...]:
    """The fields of `Sums` for a run of objects, each with the objects along its first axis."""
    n, c = len(rows), frame.channels
    own_low, own_high = extent.low[rows], extent.high[rows]
    low, high = _crops(frame, own_low, own_high)
    corner, box = together(low, high)
    crop_low, crop_high = columns_xyz(low, 0), columns_xyz(high, 1)
    own_low, own_high = columns_xyz(own_low, 0), columns_xyz(own_high + 1, 1)
    assert frame.read_raw is not None
    labels = np.ascontiguousarray(frame.objects.labels[box])
    raw = frame.read_raw(box)
    integral = raw.dtype.kind in "biu" and raw.dtype.itemsize <= 2
    with np.errstate(over="ignore", invalid="ignore"):
        raw = np.ascontiguousarray(raw, np.float32)
    bounds = np.stack([crop_low, crop_high, own_low, own_high], axis=1) - corner
    reach, pitch = _pitch(frame)
    size, own = crop_high - crop_low, own_high - own_low
    greys = GREYS if integral else 0
    room = Room(
        np.empty(int((own[:, 2] * size[:, 1] * own[:, 0]).max()), np.int32),
        np.empty(int(own[:, 0].max()), np.int32),
        np.zeros(int(size[:, 0].max()) + 1, np.int32),
        np.empty(c * int(np.prod(size, axis=1).max()), np.float32),
        np.full(greys, NONE, np.int64),
        np.empty(2 * (greys + c)),
    )
    found = Sums(np.zeros(n), np.zeros((6, c, n)), np.zeros((n, BINS)), np.zeros((n, c, c)))
    function(
        *(labels, raw, labels.shape[1], labels.shape[2], c, np.ascontiguousarray(bounds), n, rows.start + 1),
        *(int(scope == "both"), greys, Metric(reach * reach, *(1, *pitch[::-1].tolist())[-3:]), room, found),
    )
    return found.pixels, found.moments.transpose(2, 0, 1), found.bins, found.matrix


class Crop(NamedTuple):
    """A crop: the id of its object, and the corners of the crop and of the object.

    ``layer`` and ``row`` are the numbers of pixels in a plane and a row of the label image.
    """

    identity: int
    z: int
    y: int
    x: int
    depth: int
    height: int
    width: int
    own_z: int
    own_x: int
    own_depth: int
    own_width: int
    layer: int
    row: int


class Metric(NamedTuple):
    """Distances between pixels, and the square of the radius of a neighbourhood."""

    far: int
    z: int
    y: int
    x: int


class Room(NamedTuple):
    """Work space: see `steps_along_y`, `cover_row`, `take_sample` and `fold_values`."""

    tall: NDArray[np.int32]
    squared: NDArray[np.int32]
    cover: NDArray[np.int32]
    sample: NDArray[np.float32]
    seen: NDArray[np.int64]
    powers: NDArray[np.float64]


class Sums(NamedTuple):
    """Results of n objects: number of pixels (n,); sum, extremes, spread and sums of powers
    (6, channels, n); histograms (n, 64); scatter matrices (n, channels, channels)."""

    pixels: NDArray[np.float64]
    moments: NDArray[np.float64]
    bins: NDArray[np.float64]
    matrix: NDArray[np.float64]


@kernel
def crop_of(i: int, bounds: Ints, identity: int, ny: int, nx: int) -> Crop:
    """The crop of the i-th object; ``bounds`` come from `folded`."""
    b = 12 * i
    return Crop(
        identity,
        bounds[b + 2],
        bounds[b + 1],
        bounds[b],
        bounds[b + 5] - bounds[b + 2],
        bounds[b + 4] - bounds[b + 1],
        bounds[b + 3] - bounds[b],
        bounds[b + 8],
        bounds[b + 6],
        bounds[b + 11] - bounds[b + 8],
        bounds[b + 9] - bounds[b + 6],
        ny * nx,
        nx,
    )


@kernel
def steps_along_y(labels: Ints, crop: Crop, metric: Metric, tall: Ints) -> None:
    """Squared distances along y to the object, at most ``far``, in its planes and columns."""
    width, size = crop.own_width, crop.own_width * crop.height
    for z in range(crop.own_depth):
        start = (crop.own_z + z) * crop.layer + crop.y * crop.row + crop.own_x
        for y in range(crop.height):
            at = z * size + y * width
            for x in range(width):
                if labels[start + y * crop.row + x] == crop.identity:
                    tall[at + x] = 0
                elif y == 0:
                    tall[at + x] = metric.far
                else:
                    tall[at + x] = min(tall[at + x - width] + metric.y, metric.far)
        for y in range(crop.height - 2, -1, -1):
            at = z * size + y * width
            for x in range(width):
                tall[at + x] = min(tall[at + x], tall[at + x + width] + metric.y)
    for p in range(crop.own_depth * size):
        tall[p] = metric.far if tall[p] > FURTHEST else min(tall[p] * tall[p], metric.far)


@kernel
def cover_row(y: int, z: int, crop: Crop, metric: Metric, tall: Ints, squared: Ints, cover: Ints) -> bool:
    """Mark the neighbourhood in a row: add 1 to ``cover`` where a part of it begins, -1 where it ends.

    Return whether the row has any. ``squared`` is work space: squared distances along y and z.
    """
    width, near = crop.own_width, False
    for x in range(width):
        squared[x] = metric.far
    for own in range(crop.own_depth):
        away = metric.z * (crop.z + z - crop.own_z - own)
        if away * away < metric.far:
            at = (own * crop.height + y) * width
            for x in range(width):
                squared[x] = min(squared[x], tall[at + x] + away * away)
    first = crop.own_x - crop.x
    for x in range(width):
        if squared[x] < metric.far:
            near = True
            wide = int(math.sqrt(float(metric.far - 1 - squared[x]))) // metric.x
            cover[max(first + x - wide, 0)] += 1
            cover[min(first + x + wide, crop.width - 1) + 1] -= 1
    return near


@kernel
def take_sample(
    labels: Ints,
    raw: Floats,
    channels: int,
    both: int,
    crop: Crop,
    metric: Metric,
    space: Room,
) -> int:
    """Copy the values around an object to the sample, channel after channel; return the number of pixels."""
    tall, squared, cover, sample = space.tall, space.squared, space.cover, space.sample
    count, room = 0, crop.depth * crop.height * crop.width
    steps_along_y(labels, crop, metric, tall)
    for z in range(crop.depth):
        for y in range(crop.height):
            if not cover_row(y, z, crop, metric, tall, squared, cover):
                continue
            start, covered = (crop.z + z) * crop.layer + (crop.y + y) * crop.row + crop.x, 0
            for x in range(crop.width):
                covered += cover[x]
                cover[x] = 0
                if covered > 0 and (both or labels[start + x] != crop.identity):
                    for c in range(channels):
                        sample[c * room + count] = raw[(start + x) * channels + c]
                    count += 1
            cover[crop.width] = 0
    return count


@kernel
def fold_values(
    sample: Floats, at: int, count: int, greys: int, seen: Ints, powers: Floats, turn: int, moments: Floats,
    here: int, stride: int,
) -> None:  # fmt: skip
    """The sums of `Intensity`, `Spread` and `Central` of a sample of one channel.

    If there are few different values (``greys``), the powers of each are computed once: ``seen`` holds the ``turn``.
    """
    total, low, high, spread = 0.0, FLT_MAX, -FLT_MAX, 0.0
    for k in range(count):
        x = float(sample[at + k])
        total += x
        low = min(low, x)
        high = max(high, x)
        if k > 0:
            deviation = total / (k + 1.0) - x
            spread += (k + 1.0) / k * (deviation * deviation)
    mean, third, fourth = total / count, 0.0, 0.0
    for k in range(count):
        q = float(sample[at + k]) - mean
        if greys == 0:
            third += math.pow(q, 3.0)
            fourth += math.pow(q, 4.0)
        else:
            grey = int(float(sample[at + k]) - low)
            if seen[grey] != turn:
                seen[grey] = turn
                powers[2 * grey], powers[2 * grey + 1] = math.pow(q, 3.0), math.pow(q, 4.0)
            third += powers[2 * grey]
            fourth += powers[2 * grey + 1]
    moments[here], moments[here + stride], moments[here + 2 * stride] = total, low, high
    moments[here + 3 * stride], moments[here + 4 * stride] = spread, third
    moments[here + 5 * stride] = fourth


@kernel
def fill_bins(sample: Floats, count: int, low: float, high: float, bins: Floats, at: int) -> None:
    """The bins of `Histogram` of a sample."""
    scale = BINS / ((high + BINS * EPS if low == high else high) - low)
    for k in range(count):
        place = scale * (float(sample[k]) - low)
        if math.isfinite(place):
            bins[at + min(int(place), BINS - 1)] += 1.0


@kernel
def fold_scatter(
    sample: Floats, room: int, count: int, channels: int, space: Floats, at: int, matrix: Floats, to: int
) -> None:
    """The matrix of `ChannelScatter` of a sample; ``space`` from ``at`` on is work space."""
    for c in range(channels):
        space[at + c] = 0.0
    for k in range(count):
        for i in range(channels):
            x = float(sample[i * room + k])
            space[at + i] += x
            space[at + channels + i] = space[at + i] / (k + 1.0) - x
        if k == 0:
            continue
        factor = (k + 1.0) / k
        for i in range(channels):
            left = factor * space[at + channels + i]
            for j in range(i + 1):
                matrix[to + i * channels + j] += left * space[at + channels + j]
    for i in range(channels):
        for j in range(i):
            matrix[to + j * channels + i] = matrix[to + i * channels + j]


def measure_around(
    labels: NDArray[np.uint32], raw: NDArray[np.float32], ny: int, nx: int, channels: int,
    bounds: NDArray[np.int64], n: int, first: int, both: int, greys: int, metric: Metric,
    space: Room, sums: Sums,
) -> None:  # fmt: skip
    """Measure the neighbourhoods of n objects, one after the other, each in scan order: see `folded`."""
    sample, powers, moments = space.sample, space.powers, sums.moments
    for i in range(n):
        crop = crop_of(i, bounds, first + i, ny, nx)
        room = crop.depth * crop.height * crop.width
        found = take_sample(labels, raw, channels, both, crop, metric, space)
        sums.pixels[i] = found
        for c in range(channels):
            turn, here = i * channels + c, c * n + i
            fold_values(sample, c * room, found, greys, space.seen, powers, turn, moments, here, channels * n)
        if channels == 1:
            fill_bins(sample, found, moments[i + n], moments[i + 2 * n], sums.bins, BINS * i)
        else:
            fold_scatter(
                *(sample, room, found, channels, powers, 2 * greys, sums.matrix, channels * channels * i)
            )


def _lengths(
    _: Any, __: Any, ny: int, nx: int, channels: int, bounds: IntArray, n: int, *given: Any
) -> dict[str, int]:
    corners = bounds.reshape(n, 4, 3)
    size, own = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 2]
    greys, planes = given[2], int(corners[:, 1, 2].max(initial=0))
    return {
        "labels": planes * ny * nx,
        "raw": planes * ny * nx * channels,
        "bounds": 12 * n,
        "tall": int((own[:, 2] * size[:, 1] * own[:, 0]).max(initial=0)),
        "squared": int(own[:, 0].max(initial=0)),
        "cover": int(size[:, 0].max(initial=0)) + 1,
        "sample": channels * int(np.prod(size, axis=1).max(initial=0)),
        "seen": greys,
        "powers": 2 * (greys + channels),
        "pixels": n,
        "moments": 6 * channels * n,
        "bins": BINS * n,
        "matrix": channels * channels * n,
    }


around = Kernel(measure_around, repays_loading=50_000, repays_compiling=5_000_000, lengths=_lengths)
"""Work is counted in pixels of crops."""
