"""The lazy image of the Python interface."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from objclass.core import AnyArray, Image, PixelSize


@dataclass(frozen=True, repr=False)
class LazyImage:
    """A lazy image: its header was read, pixels are read on demand.

    It slices like an array, ``image[10:20, 5]``, and is one for numpy (``np.asarray(image)`` reads all of it)
    and for dask (``dask.array.from_array(image)``). No file stays open.

    Parameters
    ----------
    image
        The image.
    """

    image: Image

    @property
    def name(self) -> str:
        """Name of the image as it was given."""
        return self.image.name

    @property
    def axes(self) -> str:
        """A letter of ``"tzyxc"`` for each axis: time, z, y, x, channel."""
        return self.image.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each of `axes`."""
        return self.image.stored.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.image.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of the chunks of the file, None if it has none."""
        return getattr(self.image.stored, "chunks", None)

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel, None if unknown."""
        return self.image.pixel_size

    def read(self, region: Any = ()) -> AnyArray:
        """Pixels of a region, by default all of them.

        Parameters
        ----------
        region
            A slice or an index for each axis, as in ``image[region]``; missing axes are read completely.

        Raises
        ------
        IndexError
            If the region has more axes than the image, or an index is outside of it.
        ImageError
            If the file cannot be read.
        """
        index = self._whole_index(region)
        bounds, within = zip(*map(_split, index, self.shape), strict=True)
        if any(part.start == part.stop for part in bounds):
            return np.empty([part.stop - part.start for part in bounds], self.dtype)[within]
        return self.image.stored.read(bounds)[within]

    def _whole_index(self, region: Any) -> list[Any]:
        """An entry for each axis."""
        given = list(region) if isinstance(region, tuple) else [region]
        if Ellipsis in given:
            place = given.index(Ellipsis)
            given[place : place + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        if len(given) > self.ndim:
            message = f"{self.name}: {len(given)} indices for the axes {self.axes}"
            raise IndexError(message)
        return given + [slice(None)] * (self.ndim - len(given))

    def __getitem__(self, region: Any) -> AnyArray:
        return self.read(region)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:  # noqa: FBT001 (numpy's)
        if copy is False:
            message = f"{self.name}: the pixels of a file cannot become an array without a copy"
            raise ValueError(message)
        return self.read().astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        size = f", {self.pixel_size}" if self.pixel_size else ""
        return f"<LazyImage {self.name}: {self.axes} {self.shape} {self.dtype}{size}>"


def _split(index: Any, length: int) -> tuple[slice, Any]:
    """An index along one axis -> bounds to read, and the index within what was read."""
    if isinstance(index, slice):
        places = range(*index.indices(length))
        if not places:
            return slice(0, 0), slice(None)
        low, high = min(places[0], places[-1]), max(places[0], places[-1])
        return slice(low, high + 1), slice(None, None, places.step)
    place = range(length)[index]
    return slice(place, place + 1), 0
