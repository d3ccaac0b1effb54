"""Result images: values painted over label images, and how they are brought into their files."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass import registry
from objclass.core import (
    AXES,
    AnyArray,
    Image,
    Objects,
    OutputImage,
    PixelSize,
    Predictions,
    Region,
    Writer,
    from_canonical,
)
from objclass.errors import OutputError, UsageError
from objclass.kernels import Kernels
from objclass.settings import DTYPES, ExportSettings

log = logging.getLogger("objclass")

SOURCES = ("Object Predictions", "Object Probabilities", "Object Identities")
"""The result images, by ilastik's names."""

SLOT_AXES = "txyzc"
"""The order in which ilastik counts 5D subregions."""

PIECE = 1 << 15
"""Voxels that are painted together, in all channels."""

kernel = Kernels(globals(), repays_loading=800_000_000, repays_compiling=2_000_000_000)
"""Work is counted in voxels × channels."""


def dtype_of(source: str, objects: Image, role: str) -> np.dtype[Any]:
    """Type of the pixels of a result image before any conversion."""
    if source == "Object Predictions":
        return np.dtype(np.uint8)
    if source == "Object Probabilities":
        return np.dtype(np.float32)
    if role == "label_image" and objects.dtype in (np.uint8, np.uint64):
        return objects.dtype  # as ilastik does; all others become 32 bits
    return np.dtype(np.uint32)


def paint(source: str, objects: Objects, predictions: Predictions | None, axes: str = AXES) -> AnyArray:
    """A result image of one time step or of a part of it, axes z, y, x, c; background is 0.

    Parameters
    ----------
    source
        Name of the result image.
    objects
        Their ``labels`` (z, y, x) are painted over: those of the whole time step, or any block of it.
    predictions
        Of all objects of the time step; may be None for identities.
    axes
        The order in which the pixels are to lie in memory, such as that of the file: `from_canonical`
        then has nothing to move.
    """
    if source == "Object Identities":
        return objects.labels[..., None]
    if predictions is None:
        message = f"{source} without predictions"
        raise ValueError(message)
    table = lut(source, predictions)
    image = _empty((*objects.labels.shape, len(table)), table.dtype, axes)
    fill(image, objects.labels, table)
    return image


def lut(source: str, predictions: Predictions) -> AnyArray:
    """Value of each label in each channel, shape (channels, objects + 1): uint8 classes or float32."""
    values = predictions.classes[:, None] if source == "Object Predictions" else predictions.probabilities
    return np.ascontiguousarray(np.pad(values, ((1, 0), (0, 0))).T)


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], axes: str) -> AnyArray:
    """An array with axes z, y, x, c whose pixels lie in the order of ``axes``."""
    order = [axis for axis in AXES[1:] if axis not in axes] + [axis for axis in axes if axis != "t"]
    lengths = dict(zip(AXES[1:], shape, strict=True))
    stored = np.empty([lengths[axis] for axis in order], dtype)
    return stored.transpose([order.index(axis) for axis in AXES[1:]])


def fill(image: AnyArray, labels: NDArray[np.unsignedinteger[Any]], table: AnyArray) -> None:
    """Paint the values of labels.

    Parameters
    ----------
    image
        What is painted, axes z, y, x, c; it may lie in memory as it likes.
    labels
        A block of labels, axes z, y, x.
    table
        Value of each label in each channel, shape (channels, labels).

    Raises
    ------
    IndexError
        If there is a label that the table lacks.
    """
    compiled = kernel.choose(image.size)
    if compiled:
        compiled(image, labels, table)
        return
    for rows in _pieces(labels.shape):
        index = labels[rows].astype(np.intp)  # once: every take would do it anew
        for c, values in enumerate(table):
            image[(*rows, slice(None), c)] = values.take(index)  # one at a time: rows are a trap


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Slices along z and y of some `PIECE` voxels each: what is painted together stays in the cache."""
    z, y, x = shape
    planes, rows = max(PIECE // max(y * x, 1), 1), max(PIECE // max(x, 1), 1)
    for first in range(0, z, planes):
        for row in range(0, y, rows):
            yield slice(first, first + planes), slice(row, row + rows)


@kernel
def fill_rows(image: AnyArray, labels: AnyArray, table: AnyArray) -> None:
    """Paint row by row, in each row channel by channel."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for c in range(len(table)):
                for x in range(width):
                    label = labels[z, y, x]
                    if label >= table.shape[1]:  # numba does not look
                        raise IndexError
                    image[z, y, x, c] = table[c, label]


@dataclass(frozen=True)
class Export:
    """How one result image goes into its file: part, type, range, order of axes.

    Parameters
    ----------
    source
        Name of the result image.
    image
        What the writer is told.
    region
        The part of the whole result that is written, in `AXES`.
    result_range, file_range
        Range that is brought to another, if any.
    """

    source: str
    image: OutputImage
    region: Region
    result_range: tuple[float, float] | None
    file_range: tuple[float, float] | None

    def write(self, writer: Writer, t: int, frame: AnyArray) -> None:
        """Write the part of a time step (z, y, x, c) that belongs to the file."""
        steps, *inside = self.region
        if not steps.start <= t < steps.stop:
            return
        part = frame[tuple(inside)]
        if self.image.dtype.kind in "iu" and part.dtype.kind in "iu" and self.file_range is None:
            _warn_wrapped(self.source, part, self.image.dtype)
        block = self._convert(part)[None]
        lengths = (1, *(s.stop - s.start for s in inside))
        place = {axis: slice(0, n) for axis, n in zip(AXES, lengths, strict=True)}
        place["t"] = slice(t - steps.start, t - steps.start + 1)
        axes = self.image.axes
        writer.write(tuple(place[a] for a in axes), from_canonical(block, axes))

    def _convert(self, pixels: AnyArray) -> AnyArray:
        """Bring values to another range (no clipping), and to another type."""
        dtype = self.image.dtype
        if self.result_range is not None and self.file_range is not None:
            (low, high), (new_low, new_high) = self.result_range, self.file_range
            spread = high - low
            ratio = np.float32((new_high - new_low) / spread if abs(spread) > 1e-12 else 0)
            pixels = new_low + (pixels - np.float32(low)) * ratio
            if dtype.kind in "iu":
                pixels = np.rint(pixels)
        with np.errstate(invalid="ignore"):
            return pixels.astype(dtype, copy=False)


def _warn_wrapped(source: str, pixels: AnyArray, dtype: np.dtype[Any]) -> None:
    """ilastik wraps what does not fit, and so do we; but not silently."""
    if np.iinfo(dtype).max < np.iinfo(pixels.dtype).max and pixels.max(initial=0) > np.iinfo(dtype).max:
        log.warning("%s up to %d do not fit into %s and wrap around", source, pixels.max(), dtype)


def plan_export(
    source: str,
    objects: Image,
    role: str,
    classes: int,
    settings: ExportSettings,
    pixel_size: PixelSize | None,
) -> tuple[Export, bool]:
    """Work out how a result image is written; True if a subregion had to be clipped.

    Raises
    ------
    UsageError
        If the order of axes or the subregion does not fit.
    OutputError
        If the format cannot hold the image.
    """
    channels = classes if source == "Object Probabilities" else 1
    full = dict(zip(AXES, (*objects.shape[:4], channels), strict=True))
    axes = _output_axes(objects.axes, settings.output_axis_order)
    region, clipped = _subregion(full, axes, settings.cutout_subregion)
    lengths = {axis: region[i].stop - region[i].start for i, axis in enumerate(AXES)}
    _check_dropped(axes, lengths)
    if settings.export_dtype not in (None, *DTYPES):
        message = f"export dtype '{settings.export_dtype}': expected one of {', '.join(DTYPES)}"
        raise UsageError(message)
    dtype = np.dtype(settings.export_dtype or dtype_of(source, objects, role))
    drange = settings.export_drange
    if drange is None and source != "Object Probabilities":
        drange = objects.drange if role != "prediction_maps" else None
    image = OutputImage(
        axes,
        tuple(lengths[a] for a in axes),
        dtype,
        settings.output_internal_path or "exported_data",
        drange,
        pixel_size,
    )
    name = str(settings.output_format)
    refusal = writer_of(name).refusal(image)
    if refusal:
        message = f"{source} of {objects.name} as {name}: {refusal}"
        raise OutputError(message)
    export = Export(source, image, region, settings.pipeline_result_drange, settings.export_drange)
    return export, clipped


def writer_of(name: str) -> Any:
    """The writer of a format.

    Raises
    ------
    UsageError
        If there is no such format.
    """
    found = registry.lookup(registry.WRITERS, "objclass.writers", name)
    if found is None:
        message = f"output format '{name}': expected one of {', '.join(registry.WRITERS)}"
        raise UsageError(message)
    return found


def _output_axes(axes: str, wanted: str | None) -> str:
    """Those of the input with the channel last if it had none, or those asked for."""
    if wanted is None:
        return axes if "c" in axes else axes + "c"
    return wanted.lower()


def _check_dropped(axes: str, lengths: dict[str, int]) -> None:
    lost = [axis for axis in AXES if axis not in axes and lengths[axis] > 1]
    if lost:
        message = (
            f"--output_axis_order {axes} leaves out {', '.join(lost)}, along which there is more than one "
            "pixel"
        )
        raise UsageError(message)


def _subregion(
    full: dict[str, int], axes: str, wanted: tuple[Sequence[Any], Sequence[Any]] | None
) -> tuple[Region, bool]:
    """Slices in `AXES`; True if they had to be clipped to the image."""
    bounds = {axis: (0, n) for axis, n in full.items()}
    clipped = False
    if wanted is not None:
        start, stop = wanted
        order = SLOT_AXES if len(start) == len(SLOT_AXES) else axes
        if len(start) != len(order):
            message = (
                f"subregion of {len(start)} axes: expected {len(SLOT_AXES)} ({SLOT_AXES}) or "
                f"{len(axes)} ({axes})"
            )
            raise UsageError(message)
        for axis, first, last in zip(order, start, stop, strict=True):
            low, high = first or 0, last or full[axis]
            bounds[axis] = max(low, 0), min(high, full[axis])
            clipped |= bounds[axis] != (low, high)
            if bounds[axis][0] >= bounds[axis][1]:
                message = (
                    f"subregion {low} to {high} along {axis}: expected a start below the stop, within the "
                    f"{full[axis]} pixels there are"
                )
                raise UsageError(message)
    t, z, y, x, c = (slice(*bounds[axis]) for axis in AXES)
    return (t, z, y, x, c), clipped
