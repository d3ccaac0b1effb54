"""The protocol of writers of image formats, and the description of an image that they get."""

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


class BlockWriter(Protocol):
    """Writes blocks in any order, then `close`."""

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the pieces that are written whole; blocks made of them need not wait for others."""

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block; region and block in the order of the image's axes."""

    def close(self) -> None:
        """Finish the file; raises what could not be written."""

    def abort(self) -> None:
        """Let go of the file at once, finished or not: it is thrown away."""


class Writer(BlockWriter, Protocol):
    """Writes one image: blocks in any order, then `close`.

    It is made with ``Writer(path, image, context)``: ``path`` is a temporary file, ``context`` that of
    the run, whose threads it may use. A format whose files hold several
    images has, as attribute ``container``, the `Container` that is taken in place of a path, and a method
    ``clash(previous, image)`` that returns why the image cannot be added to a file that is there, or None.
    A writer may have a ``layout``: the order in which pixels lie in the file, if that is not the image's own;
    blocks that lie so in memory need not be moved. Where ``is_concurrent`` is true, several threads may write
    blocks at once. A folder of chunk files has a method ``share(workers)`` that returns
    `objclass.images.chunked.files.SharedFiles`: other processes write all pixels there, and `close` leaves to the workers
    what is made of these.
    """

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why this format cannot hold the image and what can, None if it can."""


class Container(Protocol):
    """A file of several images, each with a name, that is being written.

    It is made with ``Container(path)``; its writers with ``Writer(container, image, context)``.
    """

    def flush(self) -> None:
        """Write all that there is so far; raises what could not be written."""

    def mark(self) -> None:
        """Keep what was written by the last `flush`, whatever comes."""

    def undo(self) -> None:
        """Go back to the last `mark`, or to an empty file, even from a file that is closed."""

    def close(self, previous: str | None = None) -> None:
        """Take over what else the ``previous`` file held, if there is one, and finish the file."""

    def abort(self) -> None:
        """Let go of the file at once: it is thrown away."""
