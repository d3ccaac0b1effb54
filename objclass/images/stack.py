"""Several images as one, joined along an axis; each is opened only when its pixels are read."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import accumulate
from typing import Any

import numpy as np

from objclass.core import AXES, AnyArray
from objclass.errors import ImageError
from objclass.images.source import Source

Opener = Callable[[Any], Source]


@dataclass(frozen=True)
class Stack:
    """Images of one shape and dtype, one behind the other.

    Parameters
    ----------
    parts
        Descriptions of the parts, in order.
    opener
        Opens a part.
    first
        The first part, opened; the others must have the same shape and dtype.
    axis
        Index of the axis along which they are joined.
    stops
        Where each part ends along that axis.
    is_new
        Whether the parts lack that axis.
    """

    parts: Sequence[Any]
    opener: Opener
    first: Source
    axis: int
    stops: tuple[int, ...]
    is_new: bool
    dtype: np.dtype[Any] = field(init=False)
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        rest = _without(self.first.stored.shape, None if self.is_new else self.axis)
        shape = (*rest[: self.axis], self.stops[-1], *rest[self.axis :])
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", self.first.stored.dtype)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region, from the parts that it touches."""
        wanted = region[self.axis]
        pixels = np.empty([part.stop - part.start for part in region], self.dtype)
        for index, start, stop in self._touched(wanted):
            begin = self.stops[index - 1] if index else 0
            target = [slice(None)] * len(region)
            target[self.axis] = slice(start - wanted.start, stop - wanted.start)
            inner = list(region)
            inner[self.axis] = slice(start - begin, stop - begin)
            pixels[tuple(target)] = self._read_part(index, inner)
        return pixels

    def _touched(self, wanted: slice) -> Iterator[tuple[int, int, int]]:
        index, start = bisect_right(self.stops, wanted.start), wanted.start
        while start < wanted.stop:
            stop = min(self.stops[index], wanted.stop)
            yield index, start, stop
            index, start = index + 1, stop

    def _read_part(self, index: int, region: list[slice]) -> AnyArray:
        source = self.opener(self.parts[index]) if index else self.first
        check_alike(self.first, source, None if self.is_new else self.axis)
        if not self.is_new:
            return source.stored.read(tuple(region))
        del region[self.axis]
        return np.expand_dims(source.stored.read(tuple(region)), self.axis)


def open_stack(parts: Sequence[Any], along: str, opener: Opener) -> Source:
    """Join images along an axis: in place if they have it, else as a new first axis.

    The headers of all parts are read; each is opened again when its pixels are.

    Raises
    ------
    ImageError
        If the axis is none of ``"tzyxc"``, or a part differs in shape or dtype.
    """
    if len(along) != 1 or along not in AXES:
        message = f"stack along '{along}': expected one of t, z, y, x, c (--stack_along)"
        raise ImageError(message)
    first = opener(parts[0])
    if along == "z" and first.axes == "zyxc" and first.axes_from == "raster image":
        first = replace(first, axes="tyxc")  # frames of a film: ilastik's stack of them is ztyxc
    axis = first.axes.find(along)
    lengths, versions = [_length(first, first, axis)], [first.version]
    for part in parts[1:]:
        opened = opener(part)
        lengths.append(_length(first, opened, axis))
        versions.append(opened.version)
    first = replace(first, version=_common_version(versions))
    stops = tuple(accumulate(lengths))
    if axis < 0:
        stack = Stack(parts, opener, first, 0, stops, is_new=True)
        # files of single planes do not store the distance of the planes
        size = None if along == "z" else first.pixel_size
        return replace(first, stored=stack, axes=along + first.axes, pixel_size=size)
    return replace(first, stored=Stack(parts, opener, first, axis, stops, is_new=False))


def _common_version(versions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The version of all parts together; empty where none has one."""
    every = json.dumps([dict(version) for version in versions])
    return {"parts": sha256(every.encode()).hexdigest()} if any(versions) else {}


def _length(first: Source, part: Source, axis: int) -> int:
    """Length of a part along the axis, 1 if it lacks the axis (-1)."""
    check_alike(first, part, axis if axis >= 0 else None)
    return part.stored.shape[axis] if axis >= 0 else 1


def check_alike(first: Source, other: Source, axis: int | None) -> None:
    """Refuse a part whose shape (but along ``axis``) or dtype is not that of the first one."""
    a, b = first.stored, other.stored
    if (_without(a.shape, axis), a.dtype) != (_without(b.shape, axis), b.dtype):
        message = (
            f"{other.name}: {b.shape} {b.dtype} cannot be stacked with {first.name}: "
            f"{a.shape} {a.dtype}; expected one shape and dtype"
        )
        raise ImageError(message)


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
