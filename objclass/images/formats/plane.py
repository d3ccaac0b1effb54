"""What formats of a single plane share: what they hold, and how blocks come to lie in rows and columns."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, to_canonical
from objclass.images.formats.plain import reserve
from objclass.images.writer import OutputImage
from objclass.registry import Capacity, output_format


def lack(capacity: Capacity, image: OutputImage) -> str | None:
    """What is held instead of the image, as the rest of a sentence; None if it can be held."""
    if len(plane_axes(image)) > 2:
        return f"one plane, not {described(image)}"
    if capacity.channels and channels(image) not in capacity.channels:
        count = " or ".join(str(n) for n in capacity.channels)
        return f"{count} channel{'s' * (count != '1')}, not {described(image)}"
    if str(image.dtype) not in capacity.dtypes:
        *others, last = capacity.dtypes
        return f"{', '.join(others)}{' and ' * bool(others)}{last}, not {image.dtype}"
    if max(plane_shape(image)[:2]) > capacity.side:
        return f"up to {capacity.side} rows and columns, not {described(image)}"
    size = int(np.prod(image.shape, dtype=object)) * image.dtype.itemsize
    if capacity.size is not None and size > capacity.size:
        return f"up to {capacity.size >> 20} MB, not {described(image)}"
    return None


def capacity_of(name: str) -> Capacity:
    """What a file of one plane of this format can hold."""
    found = output_format(name)
    assert found is not None
    assert found.capacity is not None
    return found.capacity


def refusal(name: str, image: OutputImage) -> str | None:
    """Why a format of one plane cannot hold the image, and which can; None if it can."""
    missing = lack(capacity_of(name), image)
    return f"holds {missing}: use {nearest(image)}" if missing else None


def nearest(image: OutputImage) -> str:
    """The plainest format that holds the image."""
    for name in ("png", "tiff"):
        if lack(capacity_of(name), image) is None:
            return name
    if str(image.dtype) not in capacity_of("tiff").dtypes or image.dtype in (np.uint64, np.int64):
        return "hdf5"
    return "multipage tiff"


def plane_axes(image: OutputImage) -> str:
    """Axes longer than 1, without channels, in the order tzyx; filled up with x and y to two.

    Examples
    --------
    >>> import numpy as np
    >>> plane_axes(OutputImage("zyxc", (1, 20, 30, 3), np.dtype("u1")))
    'yx'
    >>> plane_axes(OutputImage("zyx", (5, 1, 30), np.dtype("u1")))
    'zx'
    >>> plane_axes(OutputImage("tzyx", (5, 2, 20, 30), np.dtype("u1")))
    'tzyx'
    """
    lengths = dict(zip(image.axes, image.shape, strict=True))
    long = [axis for axis in "tzyx" if lengths.get(axis, 1) > 1]
    missing = [axis for axis in "xy" if axis not in long][: max(2 - len(long), 0)]
    return "".join(axis for axis in "tzyx" if axis in (*long, *missing))


def channels(image: OutputImage) -> int:
    """Number of channels."""
    return dict(zip(image.axes, image.shape, strict=True)).get("c", 1)


def plane_shape(image: OutputImage) -> tuple[int, int, int]:
    """Rows, columns and channels of an image of one plane."""
    lengths = dict(zip(image.axes, image.shape, strict=True))
    rows, columns = (lengths.get(axis, 1) for axis in plane_axes(image))
    return rows, columns, lengths.get("c", 1)


def described(image: OutputImage) -> str:
    """Shape and axes, for messages."""
    return f"{image.shape} with axes {image.axes}"


class PlaneWriter(ABC):
    """Writes one plane: blocks go to their place in an array of rows, columns and channels."""

    format: ClassVar[str]
    """Its name in the registry."""

    def __init__(self, path: str, image: OutputImage, context: Context | None = None) -> None:
        del context
        self._path = path
        self._image = image
        self._axes = plane_axes(image) + "c"
        self.chunks = (1,) * len(image.axes)
        self._plane = self._begin(plane_shape(image), image.dtype)

    @abstractmethod
    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        """An array of zeros of this shape, in memory or in the file."""

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why this format cannot hold the image and what can."""
        return refusal(cls.format, image)

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        given = dict(zip(self._image.axes, region, strict=True))
        target = tuple(given.get(axis, slice(0, 1)) for axis in self._axes)
        shape = [part.stop - part.start for part in target]
        self._plane[target] = to_canonical(block, self._image.axes).reshape(shape)

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    def abort(self) -> None:
        """Let go of the pixels."""
        del self._plane


class EncodedWriter(PlaneWriter):
    """Keeps the plane in memory and encodes it at the end."""

    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        return np.zeros(shape, dtype)

    @abstractmethod
    def _encoded(self, pixels: AnyArray) -> bytes:
        """The file; pixels are rows and columns, and channels if there are several."""

    def close(self) -> None:
        """Encode the plane and write the file."""
        pixels = self._plane if self._plane.shape[2] > 1 else self._plane[..., 0]
        with open(self._path, "wb") as file:
            file.write(self._encoded(pixels))


class MappedWriter(PlaneWriter):
    """Puts blocks straight into the file, where pixels lie behind a header as they are."""

    def _map(self, header: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
        """The file's pixels as an array of this shape."""
        with open(self._path, "wb") as file:
            file.write(header)
            file.truncate(len(header) + int(np.prod(shape)) * np.dtype(dtype).itemsize)
        reserve(self._path)
        self._file = np.memmap(self._path, dtype, "r+", len(header), shape)
        return self._file

    def close(self) -> None:
        """Finish the file."""
        self._file.flush()  # raises what the disk refuses
        self.abort()

    def abort(self) -> None:
        """Let go of the file."""
        del self._plane, self._file
