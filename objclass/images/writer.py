"""What every writer of an image format promises, and what it is told of the image."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from objclass.core import AnyArray, PixelSize


@dataclass(frozen=True)
class OutputImage:
    """An image to be written, as writers see it: everything in the order of its own ``axes``.

    Parameters
    ----------
    axes
        Order of the axes in the file, such as ``"zyxc"``.
    shape
        Lengths in that order.
    dtype
        Of the pixels.
    internal_path
        Name of the dataset, for formats that hold several.
    drange
        Least and largest possible value, where known.
    pixel_size
        Where known.
    origin
        Of a subregion: its first pixel in the whole, along each axis; empty for the whole.
    labels
        Whether the pixels are numbers of something (classes, objects), not amounts.
    names, colors
        Where known, of the classes: of the values from 1 if the pixels are numbers, else of the channels.
        Colors are red, green, blue from 0 to 255.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    internal_path: str = "exported_data"
    drange: tuple[float, float] | None = None
    pixel_size: PixelSize | None = None
    origin: tuple[int, ...] = ()
    labels: bool = False
    names: tuple[str, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()


class Writer(Protocol):
    """Writes one image: blocks in any order, then `close`.

    It is made with ``Writer(path, image, previous, context)``: ``path`` is a temporary file beside the final
    one; ``previous`` the final one, if it exists (formats that hold several images keep the others);
    ``context`` that of the run, whose threads it may use.
    It may state a ``layout``: the order in which pixels lie in the file, if that is not the image's own;
    blocks that lie so in memory need not be moved.
    """

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why this format cannot hold the image and what can, None if it can."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the pieces that are written whole; blocks made of them need not wait for others."""

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block; region and block in the order of the image's axes."""

    def close(self) -> None:
        """Finish the file."""
