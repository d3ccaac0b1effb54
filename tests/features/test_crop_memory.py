"""What is announced for an object that is measured whole is what it takes, within a factor of two."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from objclass.core import Objects
from objclass.features.frame import Frame
from objclass.features.sets import colour, convex_hull, ilastik_hull, parts, radial, regionprops, texture
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.per_object import Crop

SIDE = 700

KINDS = [
    regionprops.ConvexImage, regionprops.CroftonPerimeter, regionprops.Filled, regionprops.Median,
    regionprops.Perimeter, regionprops.Topology, convex_hull.Hull, ilastik_hull.Defects, parts.Parts,
    radial.Rings,
]  # fmt: skip

GROUP_KINDS = [colour.Pairs, colour.Shares, texture.BinaryPatterns, texture.CoOccurrence]


def ball():
    y, x = np.ogrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return y * y + x * x < 1


def sponge():
    noise = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    return gaussian_filter(noise, 2) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_is_announced(kind):
    taken = 0.0
    for mask in (ball(), sponge()):
        raw = np.ones((SIDE, SIDE, 1), np.uint16) if kind.pixels else None
        part = slice(SIDE // 2 - 40, SIDE // 2 + 40)
        kind.of(
            Crop(mask[part, part], raw[part, part] if kind.pixels else None, (0, 0), (1.0, 1.0))
        )  # imports
        tracemalloc.start()
        kind.of(Crop(mask, raw, (0, 0), (1.0, 1.0), mask.size))
        taken = max(taken, tracemalloc.get_traced_memory()[1] / mask.size)
        tracemalloc.stop()
    assert kind.voxel_bytes / 2 <= taken <= kind.voxel_bytes * 2


@pytest.mark.parametrize("kind", GROUP_KINDS)
def test_memory_of_a_group_that_is_announced(kind):
    shape = (1, SIDE, SIDE)
    raw = np.random.default_rng(0).integers(0, 1000, (*shape, 2)).astype(np.uint16)
    frame = Frame(Objects(np.ones(shape, np.uint32), 1), lambda box: raw[box], 2, (1.0, 1.0))
    whole = np.array([[0, 0]]), np.array([[SIDE - 1, SIDE - 1]])
    extent = Extent(np.array([SIDE**2]), *whole, np.zeros((1, 2), int))
    tracemalloc.start()
    kind.of_all(frame, extent)
    taken = tracemalloc.get_traced_memory()[1] / raw[..., 0].size
    tracemalloc.stop()
    announced = kind.voxel_bytes + kind.channel_bytes * 2
    assert announced / 2 <= taken <= announced * 1.1
