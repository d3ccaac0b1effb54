"""Gaussian smoothing of prediction maps, as in ilastik, of whole images or of boxes of them."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objclass.compute.slabs import Box
from objclass.core import FloatArray

SMOOTHS_FROM = 0.1
"""ilastik does not smooth at all if one of the sigmas is smaller."""

WINDOW = 2.0
"""Radius of the smoothing kernel in sigmas, as in ilastik."""

Kernels = Sequence[tuple[int, FloatArray]]
"""Axis (0: z, 1: y, 2: x) and taps, in the order in which they are applied."""


def kernels_for(shape: tuple[int, int, int], sigmas: tuple[float, float, float]) -> Kernels:
    """The kernels for an image (z, y, x) and sigmas along x, y, z: along x, then y, then z.

    Axes of length 1 are left out; there are none if a sigma of the others is below 0.1. Taps
    exp(-x² / 2σ²) up to 2σ, normalised.
    """
    steps = [(2 - i, sigma) for i, sigma in enumerate(sigmas) if shape[2 - i] > 1]
    if not steps or min(sigma for _, sigma in steps) < SMOOTHS_FROM:
        return []
    kernels = []
    for axis, sigma in steps:
        radius = max(math.floor(WINDOW * sigma + 0.5), 1)
        # libm's exp: the last bit of numpy's depends on the processor
        taps = np.array([math.exp(-(x * x) / (2 * sigma * sigma)) for x in range(-radius, radius + 1)])
        kernels.append((axis, taps / taps.sum()))
    return kernels


def halo(box: Box, shape: tuple[int, int, int], kernels: Kernels) -> tuple[Box, Box]:
    """The box with its halo, and the position of the box in it."""
    wide, inside = list(box), [slice(0, part.stop - part.start) for part in box]
    for axis, taps in kernels:
        radius, part = len(taps) // 2, box[axis]
        start = max(part.start - radius, 0)
        wide[axis] = slice(start, min(part.stop + radius, shape[axis]))
        inside[axis] = slice(part.start - start, part.stop - start)
    return (wide[0], wide[1], wide[2]), (inside[0], inside[1], inside[2])


def smooth(pixels: NDArray[np.float32], kernels: Kernels) -> NDArray[np.float32]:
    """Smooth (z, y, x), rounded to float32 after each axis.

    The image is mirrored at its ends without repeating the edge. Where a box has a halo, this changes only
    the halo.
    """
    if kernels:
        from scipy.ndimage import correlate1d  # costly import, and few runs smooth

        for axis, taps in kernels:
            pixels = correlate1d(pixels, taps, axis, output=np.float32, mode="mirror")
    return pixels
