"""One channel of an image as an image of its own."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from objclass.core import AnyArray, Image, Stored
from objclass.errors import ImageError


@dataclass(frozen=True)
class OneChannel:
    """One channel of a `Stored`, without the axis of channels.

    Parameters
    ----------
    stored
        All channels.
    axis
        Index of the axis of channels.
    number
        The channel, counted from 0.
    """

    stored: Stored
    axis: int
    number: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the other axes."""
        return _without(self.stored.shape, self.axis)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.stored.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the pieces that are packed together, if there are such."""
        lengths = getattr(self.stored, "chunks", None)
        return None if lengths is None else _without(lengths, self.axis)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        channel = slice(self.number, self.number + 1)
        wide = (*region[: self.axis], channel, *region[self.axis :])
        return self.stored.read(wide).squeeze(self.axis)


def _without(lengths: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*lengths[:axis], *lengths[axis + 1 :])


def channel_of(image: Image, number: int) -> Image:
    """One channel of an image, counted from 0.

    Raises
    ------
    ImageError
        If the image has no such channel.
    """
    channels = image.shape[4]
    if number >= channels:
        message = (
            f"--channel {number}: {image.name} has {channels} channels, counted from 0 (axes {image.axes} from "
            f"{image.axes_from})"
        )
        raise ImageError(message)
    if "c" not in image.axes:
        return image
    axis = image.axes.index("c")
    return replace(image, stored=OneChannel(image.stored, axis, number), axes=image.axes.replace("c", ""))
