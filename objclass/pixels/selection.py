"""Which filters at which scales: what a user names, or ilastik's usual selection."""

import math
from collections.abc import Sequence

import numpy as np

from objclass.errors import UsageError
from objclass.pixels.features import DEFAULT_SCALES, FILTERS, PRESMOOTHING, PixelFeatures

SHORT_NAMES = {
    "gaussian": "GaussianSmoothing",
    "laplacian": "LaplacianOfGaussian",
    "gradient": "GaussianGradientMagnitude",
    "dog": "DifferenceOfGaussians",
    "structure": "StructureTensorEigenvalues",
    "hessian": "HessianOfGaussianEigenvalues",
}
"""Short name of a filter -> ilastik's identifier."""

SMALLEST = 0.3
"""ilastik offers this scale for smoothing only: derivatives have too few taps there."""

Wanted = dict[str, tuple[float, ...]]
"""Identifier of a filter -> its scales."""


def usual() -> Wanted:
    """ilastik's usual selection: all filters at all scales that its dialog offers."""
    return {name: _offered(name) for name in FILTERS}


def _offered(name: str) -> tuple[float, ...]:
    return tuple(s for s in DEFAULT_SCALES if s != SMALLEST or name == "GaussianSmoothing")


def named(texts: Sequence[str]) -> Wanted:
    """Filters and scales as a user names them.

    Parameters
    ----------
    texts
        Each ``NAME`` (at all usual scales) or ``NAME:SCALE,SCALE``; a name is ilastik's identifier, a short one
        (`SHORT_NAMES`) or ``all``.

    Raises
    ------
    UsageError
        If a filter is unknown, or a scale is no number above 0 and below 1000.

    Examples
    --------
    >>> named(["gaussian:1.6,0.7", "HessianOfGaussianEigenvalues:2.5", "gaussian:5"])
    {'GaussianSmoothing': (0.7, 1.6, 5.0), 'HessianOfGaussianEigenvalues': (2.5,)}
    """
    wanted: dict[str, set[float]] = {}
    for text in texts:
        name, colon, scales = text.partition(":")
        for identifier in _identifiers(name, text):
            found = [_scale(s, text) for s in scales.split(",")] if colon else _offered(identifier)
            wanted.setdefault(identifier, set()).update(found)
    return {name: tuple(sorted(wanted[name])) for name in FILTERS if name in wanted}


def _identifiers(name: str, text: str) -> list[str]:
    if name == "all":
        return list(FILTERS)
    identifier = SHORT_NAMES.get(name.lower(), name)
    if identifier not in FILTERS:
        message = (
            f"--pixel_features {text}: unknown filter '{name}': expected all, {', '.join(SHORT_NAMES)} or one of "
            f"{', '.join(FILTERS)}"
        )
        raise UsageError(message)
    return [identifier]


def _scale(number: str, text: str) -> float:
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if not 0 < scale < 1000:
        message = f"--pixel_features {text}: scale '{number}': expected a number above 0 and below 1000"
        raise UsageError(message)
    return scale


def pixel_features(wanted: Wanted, planar: Sequence[float] | None, depth: int) -> PixelFeatures:
    """The selection as a project stores it: ilastik's six filters, its usual scales, custom ones behind them.

    Parameters
    ----------
    wanted
        Filters and scales.
    planar
        Scales at which planes are filtered one by one; empty for all of them, None for none.
    depth
        Planes of the images; of one plane nothing else can be filtered.

    Raises
    ------
    UsageError
        If one of ``planar`` is no scale of a filter.
    """
    used = {scale for scales in wanted.values() for scale in scales}
    if strange := sorted(set(planar or ()) - used):
        message = f"--compute_in_2d {strange[0]:g}: expected scales of --pixel_features: {_listed(used)}"
        raise UsageError(message)
    scales = (*DEFAULT_SCALES, *sorted(used - set(DEFAULT_SCALES)))
    selected = np.array([[scale in wanted.get(name, ()) for scale in scales] for name in FILTERS])
    in_planes = tuple(depth == 1 or (planar is not None and (not planar or s in planar)) for s in scales)
    return PixelFeatures(tuple(FILTERS), scales, selected, in_planes)


def too_large(features: PixelFeatures, shape: tuple[int, int, int]) -> list[float]:
    """Scales whose smoothing reaches across an image of these lengths z, y, x: ilastik refuses them.

    Examples
    --------
    >>> too_large(pixel_features(named(["gaussian:1,5"]), None, 1), (1, 12, 100))
    [5.0]
    """
    return [
        features.scales[scale]
        for scale in features.used
        if min(shape[axis] for axis in features.axes(scale, shape[0]))
        < math.ceil(PRESMOOTHING * features.scales[scale]) + 1
    ]


def without(wanted: Wanted, scales: Sequence[float]) -> Wanted:
    """The selection without some scales."""
    left = {name: tuple(s for s in its if s not in scales) for name, its in wanted.items()}
    return {name: its for name, its in left.items() if its}


def _listed(scales: set[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in sorted(scales))
