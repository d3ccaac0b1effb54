"""Result images: values painted over label images, and how they are brought into their files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
from objclass.settings import DTYPES, ExportSettings

log = logging.getLogger("objclass")

SOURCES = ("Object Predictions", "Object Probabilities", "Object Identities")
"""The result images, by ilastik's names."""

SLOT_AXES = "txyzc"
"""The order in which ilastik counts 5D subregions."""


def dtype_of(source: str, objects: Image, role: str) -> np.dtype[Any]:
    """Type of the pixels of a result image before any conversion."""
    if source == "Object Predictions":
        return np.dtype(np.uint8)
    if source == "Object Probabilities":
        return np.dtype(np.float32)
    if role == "label_image" and objects.dtype in (np.uint8, np.uint64):
        return objects.dtype  # as ilastik does; all others become 32 bits
    return np.dtype(np.uint32)


def paint(source: str, objects: Objects, predictions: Predictions | None) -> AnyArray:
    """A result image of one time step, axes z, y, x, c; background is 0.

    ``predictions`` may be None for identities.
    """
    if source == "Object Identities":
        return objects.labels[..., None]
    if predictions is None:
        message = f"{source} without predictions"
        raise ValueError(message)
    if source == "Object Predictions":
        lut = np.concatenate([np.zeros(1, np.uint8), predictions.classes])
        return np.take(lut, objects.labels)[..., None]
    columns = np.pad(predictions.probabilities, ((1, 0), (0, 0))).T
    image = np.empty((*objects.labels.shape, len(columns)), np.float32)
    for c, lut in enumerate(np.ascontiguousarray(columns)):
        image[..., c] = np.take(lut, objects.labels)  # one column at a time: rows are a trap
    return image


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
        origin=tuple(region[AXES.index(axis)].start for axis in axes),
        labels=source != "Object Probabilities",
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
