"""Result images: region, type, range and order of axes of their files."""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.meter import counted
from objclass.compute.slabs import VOXEL_BYTES, Box, Slab
from objclass.compute.workers import Workers
from objclass.core import AXES, AnyArray, Image, Lane, PixelSize, Region, from_canonical
from objclass.errors import OutputError, UsageError
from objclass.export.paint import Paint
from objclass.images.chunked.files import SharedFiles
from objclass.images.sequence import writer_of
from objclass.images.writer import BlockWriter, OutputImage, Writer
from objclass.pixels.prediction import cut as pieces
from objclass.pixels.prediction import full
from objclass.settings import DTYPES, ExportSettings

log = logging.getLogger("objclass")

SOURCES = ("Object Predictions", "Object Probabilities", "Object Identities")
"""The result images, by ilastik's names."""

PIXEL_SOURCES = ("Probabilities", "Simple Segmentation", "Uncertainty", "Features")
"""The result images of a pixel classification, by ilastik's names."""

PIXEL_PROBABILITIES = "Pixel Probabilities"
"""Name of the probabilities of pixels where objects are classified as well."""

SLOT_AXES = "txyzc"
"""The order of axes of ilastik's 5D subregions."""

PAINTED_BYTES = 1 << 24
"""Bytes of a box that is painted: memory of this size is reused by the allocator, larger pieces are not."""

PART_BYTES = 1 << 26
"""Bytes of the labels of a part that a task of a worker paints, or of what is painted if that is more."""

LABEL_BYTES = 4


def dtype_of(source: str, objects: Image, role: str) -> np.dtype[Any]:
    """Type of the pixels of a result image before any conversion."""
    if source in ("Object Predictions", "Simple Segmentation"):
        return np.dtype(np.uint8)
    if source != "Object Identities":
        return np.dtype(np.float32)
    if role == "label_image" and objects.dtype in (np.uint8, np.uint64):
        return objects.dtype  # as ilastik does; all others become 32 bits
    return np.dtype(np.uint32)


@dataclass(frozen=True)
class Export:
    """How a result image is written: region, type, range, order of axes.

    Parameters
    ----------
    source
        Name of the result image.
    image
        The description of the image for the writer.
    region
        The region of the whole result that is written, in `AXES`.
    result_range, file_range
        Values in the first range are rescaled to the second; None for no change.
    misfits
        Number of values that did not fit into the type, block by block.
    """

    source: str
    image: OutputImage
    region: Region
    result_range: tuple[float, float] | None
    file_range: tuple[float, float] | None
    misfits: list[int] = field(default_factory=list, compare=False, repr=False)

    def write(
        self, writer: Writer, t: int, labels: Any, paint: Paint, context: Context | None = None
    ) -> None:
        """Paint the region of a time step that the file contains, and write it.

        The workers of the context do so, each a part of it, if the format allows that.

        Parameters
        ----------
        labels
            Label image of the time step (z, y, x), read by box.
        """
        context = context or Context()
        steps, z, y, x, _ = self.region
        if not steps.start <= t < steps.stop:
            return
        share = getattr(writer, "share", None)
        if context.workers is None or share is None:
            whole = full((z.stop - z.start, y.stop - y.start, x.stop - x.start))
            self.write_part(writer, t, labels, paint, context, whole)
            return
        there = Context(context.workers.limits, follow_links=context.follow_links)
        files = share(context.workers)
        painting = Painting(self, files, t, labels, paint, there)
        boxes = self._parts(context.workers, _sides(files.axes, files.sides))
        with closing(context.workers.ordered(paint_part, painting, boxes)) as misfits:
            for count in counted(misfits, len(boxes)):
                context.stop.check()
                self.misfits.append(count)

    def write_part(
        self, writer: BlockWriter, t: int, labels: Any, paint: Paint, context: Context, part: Box
    ) -> None:
        """Paint a part (z, y, x) of the region of a time step that the file contains, box by box, and write it."""
        steps, z, y, x, channels = self.region
        lengths = part[0].stop - part[0].start, part[1].stop - part[1].start, part[2].stop - part[2].start

        def painted(slab: Slab) -> tuple[tuple[slice, ...], AnyArray]:
            inside = _shifted(slab.within(lengths), part)
            block = self._convert(paint(labels[_shifted(inside, (z, y, x))])[..., channels])[None]
            step = slice(t - steps.start, t - steps.start + 1)
            count = slice(0, channels.stop - channels.start)
            place = dict(zip(AXES, (step, *inside, count), strict=True))
            axes = self.image.axes
            return tuple(place[axis] for axis in axes), from_canonical(block, axes)

        unit = _sides(self.image.axes, writer.chunks)[:2]  # such blocks can be written at once
        cut = context.limits.slabs(lengths, unit, PAINTED_BYTES // self._voxel_bytes)

        def written(slab: Slab) -> None:
            writer.write(*painted(slab))

        if getattr(writer, "is_concurrent", False):
            deque(context.ordered(written, cut), maxlen=0)
            return
        for region, block in context.ordered(painted, cut):
            writer.write(region, block)

    @property
    def _voxel_bytes(self) -> int:
        channels = self.region[4]
        return (channels.stop - channels.start) * self.image.dtype.itemsize

    def _parts(self, workers: Workers, least: tuple[int, int, int]) -> list[Box]:
        """The region of a time step, cut into parts whose sides (z, y, x) are multiples of the least ones: longest along x."""
        lengths = tuple(part.stop - part.start for part in self.region[1:4])
        voxels = min(PART_BYTES // max(self._voxel_bytes, LABEL_BYTES), prod(lengths) // (2 * workers.count))
        if workers.limits.memory is not None:
            voxels = min(voxels, workers.limits.memory // (2 * VOXEL_BYTES))
        sides = list(least)
        for axis in (2, 1, 0):
            units = -(-lengths[axis] // least[axis])
            count = -(-units // max(voxels // prod(sides), 1))
            sides[axis] = min(-(-units // count) * least[axis], lengths[axis])
        return list(pieces(full(lengths), tuple(sides)))

    def _convert(self, pixels: AnyArray) -> AnyArray:
        """Rescale values to another range (no clipping), and cast them to another type, as ilastik does."""
        dtype = self.image.dtype
        if self.result_range is not None and self.file_range is not None:
            pixels = rescale(pixels, self.result_range, self.file_range, round_=dtype.kind in "iu")
        converted = cast_pixels(pixels, dtype)
        is_float = pixels.dtype.kind == "f"
        if not np.can_cast(pixels.dtype, dtype) and not (is_float and dtype.kind == "f"):
            expected = np.trunc(pixels) if is_float else pixels
            self.misfits.append(int(np.count_nonzero(converted != expected)))
        return converted

    def warn(self, where: str) -> None:
        """Warn about values that did not fit."""
        if sum(self.misfits):
            dtype = self.image.dtype
            become = "wrap around" if dtype.kind in "iu" else "are rounded"
            values = (self.source, where, sum(self.misfits), dtype, become)
            log.warning("%s in %s: %d values do not fit into %s and %s (--export_dtype)", *values)


@dataclass(frozen=True)
class Boxes:
    """A time step of an image, read by box (z, y, x); channels last."""

    image: Image
    t: int

    def __getitem__(self, box: Box) -> AnyArray:
        z, y, x = box
        return self.image.read((slice(self.t, self.t + 1), z, y, x, slice(0, self.image.shape[4])))[0]


@dataclass(frozen=True)
class Painting:
    """What workers need to paint parts of a time step: plain data.

    Parameters
    ----------
    export
        How the image is written.
    files
        Where.
    t, labels, paint
        As in `Export.write`.
    context
        That of a worker.
    """

    export: Export
    files: SharedFiles
    t: int
    labels: Any
    paint: Paint
    context: Context


def paint_part(painting: Painting, part: Box) -> int:
    """Paint a part of the region that the file contains, and write it; the number of values that did not fit."""
    export = replace(painting.export, misfits=[])
    writer = painting.files.open(export.image.axes, painting.context)
    try:
        export.write_part(writer, painting.t, painting.labels, painting.paint, painting.context, part)
        writer.close()
    except BaseException:
        writer.abort()
        raise
    return sum(export.misfits)


def _sides(axes: str, lengths: tuple[int, ...]) -> tuple[int, int, int]:
    """Those of z, y, x among the lengths of some axes; 1 for absent ones."""
    z, y, x = (dict(zip(axes, lengths, strict=True)).get(axis, 1) for axis in "zyx")
    return z, y, x


def _shifted(box: Box, start: Box) -> Box:
    """A box that counts from the first voxel of another one, counted from 0."""
    z, y, x = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(box, start, strict=True))
    return z, y, x


def rescale(
    pixels: AnyArray, old: tuple[float, float], new: tuple[float, float], *, round_: bool
) -> AnyArray:
    """Rescale values from one range to another; fractions are rounded on request, nothing is clipped.

    Examples
    --------
    >>> rescale(np.array([0, 0.5, 2], np.float32), (0, 1), (0, 255), round_=True)
    array([  0., 128., 510.], dtype=float32)
    """
    spread = old[1] - old[0]
    ratio = np.float32((new[1] - new[0]) / spread if abs(spread) > 1e-12 else 0)
    is_float = pixels.dtype.kind == "f"
    scaled: AnyArray = new[0] + (pixels - float(old[0])) * ratio
    return np.rint(scaled) if round_ and is_float else scaled  # of whole numbers, fractions are cut off


def cast_pixels(pixels: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Cast to another type: fractions are cut off, values that do not fit wrap around, NaN becomes 0."""
    if pixels.dtype.kind == "f" and dtype.kind in "iu":
        with np.errstate(invalid="ignore"):
            # the result of casting a float beyond the range of a small type depends on the processor
            pixels = pixels.astype(np.int64)
    return pixels.astype(dtype, copy=False)


def is_of_pixels(source: str) -> bool:
    """Whether a result image shows classified pixels, not objects."""
    return source in (*PIXEL_SOURCES, PIXEL_PROBABILITIES)


def plan_export(
    source: str,
    lane: Lane,
    channels: int,
    settings: ExportSettings,
    pixel_size: PixelSize | None,
) -> tuple[Export, bool]:
    """Work out how a result image of so many channels is written; True if a subregion had to be clipped.

    Raises
    ------
    UsageError
        If the order of axes or the subregion does not fit.
    OutputError
        If the format cannot hold the image.
    """
    objects, role = lane.objects, lane.role
    full = dict(zip(AXES, (*objects.shape[:4], channels), strict=True))
    axes = _output_axes(objects.axes, settings.output_axis_order)
    region, clipped = _subregion(full, axes, settings.cutout_subregion)
    lengths = {axis: region[i].stop - region[i].start for i, axis in enumerate(AXES)}
    _check_dropped(axes, lengths)
    if settings.export_dtype not in (None, *DTYPES):
        message = f"export dtype '{settings.export_dtype}': expected one of {', '.join(DTYPES)}"
        raise UsageError(message)
    dtype = np.dtype(settings.export_dtype or dtype_of(source, objects, role))
    drange = settings.export_drange or _inherited_range(source, lane)
    image = OutputImage(
        axes,
        tuple(lengths[a] for a in axes),
        dtype,
        settings.output_internal_path or "exported_data",
        drange,
        pixel_size,
        origin=tuple(region[AXES.index(axis)].start for axis in axes),
        labels=source in ("Object Predictions", "Object Identities", "Simple Segmentation"),
    )
    name = str(settings.output_format)
    refusal = writer_of(name).refusal(image)
    if refusal:
        message = f"{source} of {objects.name} as {name}: {refusal}"
        raise OutputError(message)
    export = Export(source, image, region, settings.pipeline_result_drange, settings.export_drange)
    return export, clipped


def _inherited_range(source: str, lane: Lane) -> tuple[float, float] | None:
    """The ``drange`` that ilastik writes for every result image, probabilities too: that of the objects' image.

    Maps whose range is known are rescaled to 0 … 1. Features of pixels have the range of raw data.
    """
    if source == "Features" and lane.raw is not None:
        return lane.raw.drange
    if lane.role != "prediction_maps":
        return lane.objects.drange
    return (0.0, 1.0) if lane.objects.drange is not None else None


def _output_axes(axes: str, wanted: str | None) -> str:
    """The axes of the input with the channel last if it had none, or those given."""
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
    """Slices in `AXES`, and whether they were clipped to the image."""
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
            low, high = first or 0, full[axis] if last is None else last
            bounds[axis] = max(low, 0), min(high, full[axis])
            clipped |= bounds[axis] != (low, high)
            if bounds[axis][0] >= bounds[axis][1]:
                message = (
                    f"subregion {low} to {high} along {axis}: expected a start below the stop, within the "
                    f"{full[axis]} pixels of the image"
                )
                raise UsageError(message)
    t, z, y, x, c = (slice(*bounds[axis]) for axis in AXES)
    return (t, z, y, x, c), clipped
