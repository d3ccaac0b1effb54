"""What a user chooses in a viewer, arrays and files, as images of a session."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from objclass.core import AnyArray, Image, Progress, Region
from objclass.errors import ObjclassError, Stop, UsageError
from objclass.images import from_array, open_image
from objclass.images.arrays import DIMENSIONS
from objclass.images.channel import OneChannel
from objclass.images.lazy import LazyImage
from objclass.images.urls import is_url
from objclass.session.layers import Ordered, lazy
from objclass.session.project_layers import Steps

ORDERS = {
    2: ("yx",),
    3: ("zyx", "tyx", "yxc", "cyx"),
    4: ("tzyx", "zyxc", "tyxc", "czyx", "zcyx", "tcyx"),
    5: ("tzyxc", "tczyx", "tzcyx", "ctzyx"),
}
"""Number of axes -> orders of axes in which images are kept, the commonest first."""

FEW = 4
"""A first or last axis of this length, or shorter, is taken for channels."""

BLOCK = 1 << 26
"""Pixels that are compared at a time."""


CHOSEN = "your choice"
"""Where axes come from that the user has chosen."""


@dataclass(frozen=True, eq=False)
class Source:
    """An array that a viewer shows; where it comes from, and what the viewer knows of it.

    Parameters
    ----------
    name
        Name for lists and messages.
    array
        Anything with shape, dtype and slicing.
    paths
        The file from which it comes; of joined sources those of each; empty where there is none.
    dimensions
        Names of its axes; names without a meaning, such as ``"-1"``, are passed over.
    is_rgb
        Whether the last axis holds colours.
    is_labels
        Whether the viewer shows it as labels.
    file_axes
        Axes of the file, where they are known.
    known_role
        What it is where it defines objects, if that is known.
    """

    name: str
    array: Any
    paths: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    is_rgb: bool = False
    is_labels: bool = False
    file_axes: str = ""
    known_role: str = ""

    def traced(self) -> "Source":
        """The source with the file that it comes from, where it is a layer of a project or of a run.

        Objects that were found in a segmentation become that segmentation.
        """
        shown = self.array.image.stored if isinstance(self.array, LazyImage) else None
        if not isinstance(shown, Ordered):
            return self
        steps = shown.image.stored
        lane = steps.lane if isinstance(steps, Steps) else None
        if lane is not None and lane.role != "prediction_maps" and lane.objects.shape[4] == 1:
            found = lazy(self.name, Ordered(lane.objects, shown.axes), shown.axes)
            return replace(self, array=found, known_role=lane.role).traced()
        # a project may be written again, without the images that it holds
        is_kept = all(not file.lower().endswith(".ilp") for file in shown.image.files)
        paths = (shown.image.name,) if shown.image.files and is_kept else ()
        return replace(self, paths=paths, file_axes=_file_axes(shown.image))

    @classmethod
    def of_file(cls, path: str) -> "Source":
        """A file, as objclass opens it.

        Raises
        ------
        ObjclassError
            If it is not an image.
        """
        image = open_image(path)
        return cls(os.path.basename(path), LazyImage(image), (path,))

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.array.shape)

    @cached_property
    def role(self) -> str:
        """What it most likely is where it defines objects: the name of a role."""
        if self.known_role:
            return self.known_role
        kind = np.dtype(self.array.dtype).kind
        if self.is_labels:
            return "segmentation_image" if self._is_binary else "label_image"
        is_map = kind == "f" or any("c" in order for order in self.axes()[:1])
        return "prediction_maps" if is_map else "segmentation_image"

    @property
    def _is_binary(self) -> bool:
        """Whether there is one value besides 0: in the middle plane, for arrays that are not in memory."""
        is_small = isinstance(self.array, np.ndarray) and self.array.size <= BLOCK
        plane = () if is_small else tuple(n // 2 for n in self.shape[:-2])
        values = np.asarray(self.array[plane])
        positive = values[values != 0]
        return positive.size > 0 and bool((positive == positive[0]).all())

    def axes(self, *, channels: bool = True) -> tuple[str, ...]:
        """Orders of axes that it can have, the likeliest first.

        Parameters
        ----------
        channels
            Whether it may have channels.
        """
        if self.is_rgb:
            return tuple(f"{order}c" for order in ORDERS[len(self.shape) - 1] if "c" not in order)
        orders = [order for order in ORDERS.get(len(self.shape), ()) if channels or "c" not in order]
        known = self._known_axes
        if known and (channels or "c" not in known):
            orders.insert(0, known)
        else:
            orders.sort(key=self._unlikeliness)
        return tuple(dict.fromkeys(orders))

    def _unlikeliness(self, order: str) -> int:
        if "c" not in order:
            return 1
        return 0 if self.shape[order.index("c")] <= FEW else 2

    @cached_property
    def _known_axes(self) -> str:
        """The axes that its dimensions, else its file, say; empty if they say none."""
        letters = "".join(DIMENSIONS.get(name.lower(), "") for name in self.dimensions)
        if (
            len(letters) == len(self.shape)
            and len(set(letters)) == len(letters)
            and {"x", "y"} <= set(letters)
        ):
            return letters
        if len(self.paths) != 1 or is_url(self.paths[0]):  # a server may take long
            return ""
        try:
            image = open_image(self.paths[0])
        except ObjclassError:  # another program could open it
            return ""
        is_same = image.stored.shape == self.shape and image.axes_from != "shape"
        return image.axes if is_same else ""


@dataclass(frozen=True, eq=False)
class Channels:
    """Arrays of one shape as the channels of one; pixels are read on demand."""

    arrays: tuple[Any, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of each array, then the number of arrays."""
        return (*self.arrays[0].shape, len(self.arrays))

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds all."""
        return np.result_type(*(array.dtype for array in self.arrays))

    def __getitem__(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of a region: a slice for each axis."""
        *place, channels = region
        pixels = [np.asarray(array[tuple(place)]) for array in self.arrays[channels]]
        return np.stack(pixels, axis=-1).astype(self.dtype, copy=False)


def joined(sources: Sequence[Source]) -> Source:
    """Several sources as the channels of one, in this order.

    Raises
    ------
    UsageError
        If there are none, their shapes differ, or one has channels of its own.
    """
    if not sources:
        message = "no layer is chosen: check one"
        raise UsageError(message)
    if len(sources) == 1:
        return sources[0]
    first = sources[0]
    for one in sources:
        if one.is_rgb or one.shape != first.shape:
            shape = "(colours)" if one.is_rgb else one.shape
            message = (
                f"{one.name} {shape} and {first.name} {first.shape}: expected layers of one shape as channels"
            )
            raise UsageError(message)
    known = first.axes(channels=False)
    dimensions = (*known[0], "c") if known else ()
    paths = tuple(path for one in sources for path in one.paths)
    return Source(
        " + ".join(one.name for one in sources),
        Channels(tuple(one.array for one in sources)),
        paths if all(one.paths for one in sources) else (),
        dimensions,
        file_axes=first.file_axes,
    )


def likely_axes(raw: Source, objects: Source, role: str, of_objects: str | None = None) -> tuple[str, str]:
    """The axes of raw data and objects with which they fit each other; if there are none, the likeliest of each.

    Parameters
    ----------
    raw, objects
        The two images.
    role
        The role of the objects.
    of_objects
        Their axes, where they are known.
    """
    orders = (of_objects,) if of_objects else objects.axes(channels=role == "prediction_maps")
    pairs = list(product(raw.axes(), orders))
    fitting = [(a, b) for a, b in pairs if _extents(raw.shape, a) == _extents(objects.shape, b)]
    return min(fitting or pairs, key=lambda pair: raw.axes().index(pair[0]) + orders.index(pair[1]))


def _extents(shape: Sequence[int], axes: str) -> dict[str, int]:
    lengths = dict(zip(axes, shape, strict=True))
    return {axis: lengths.get(axis, 1) for axis in "tzyx"}


def image_of(source: Source, axes: str, stop: Stop, progress: Progress | None = None) -> LazyImage:
    """The image to add to a session: the file of a source where that has the same pixels, else its array.

    All pixels are compared: labels of which a few were painted must not be taken for those of the file. That may take
    long, so windows call it in another thread.

    Parameters
    ----------
    source
        What was chosen.
    axes
        Its axes.
    stop
        Asks the comparison to end.
    progress
        Called with the name of the source and the compared fraction.
    """
    shown = from_array(source.array, axes, source.name)
    file = _file_of(source, shown)
    is_file = isinstance(source.array, LazyImage) and not isinstance(source.array.image.stored, Ordered)
    if file is not None and (is_file or _are_equal(shown, file, stop, progress)):
        return LazyImage(file)
    # painted labels must not change under the session
    pixels = (
        source.array.copy() if source.is_labels and isinstance(source.array, np.ndarray) else source.array
    )
    return LazyImage(replace(from_array(pixels, axes, source.name), axes_from=CHOSEN))


def _file_of(source: Source, shown: Image) -> Image | None:
    """The files of a source as an image of the same shape; None if there is none."""
    paths = tuple(dict.fromkeys(source.paths))
    if not paths:
        return None
    for axes in (None, shown.axes, source.file_axes or None):
        try:
            image = open_image(os.pathsep.join(paths), axes=axes, axes_from=CHOSEN, stack_along="c")
        except ObjclassError:  # another program could open it
            continue
        if image.shape == shown.shape:
            return image
    return None


def _file_axes(image: Image) -> str:
    """Axes of the file of an image, of which the image may be one channel."""
    if not isinstance(image.stored, OneChannel):
        return image.axes
    return f"{image.axes[: image.stored.axis]}c{image.axes[image.stored.axis :]}"


def _are_equal(a: Image, b: Image, stop: Stop, progress: Progress | None) -> bool:
    regions = list(_blocks(a))
    for done, region in enumerate(regions, 1):
        stop.check()
        if not np.array_equal(a.read(region), b.read(region), equal_nan=a.dtype.kind == "f"):
            return False
        if progress is not None:
            progress(a.name, done / len(regions))
    return True


def _blocks(image: Image) -> Iterator[Region]:
    """Parts of an image: planes, or rows of these where they are large."""
    t, z, y, x, c = image.shape
    rows = max(1, min(y, BLOCK // (x * c)))
    starts = range(0, y, rows)
    for time, plane, start in product(range(t), range(z), starts):
        stop = min(y, start + rows)
        yield slice(time, time + 1), slice(plane, plane + 1), slice(start, stop), slice(0, x), slice(0, c)
