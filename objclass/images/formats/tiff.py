"""TIFF with its dialects (ImageJ, OME, tifffile's own, plain pages) through tifffile.

Reading goes strip by strip and tile by tile: the file is understood once, when it is opened; later
reads only fetch and decode the segments that the region touches.
"""

import logging
import os
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from math import prod
from tempfile import TemporaryFile
from typing import Any, ClassVar
from uuid import UUID

import numpy as np
import tifffile
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, PixelSize, Stored
from objclass.errors import ImageError
from objclass.images.chunked.cache import CachedChunks
from objclass.images.chunked.whole import WholeImage
from objclass.images.formats.plain import PlainFile, PlainStore, reserve, reserve_part
from objclass.images.formats.plane import EncodedWriter, PlaneWriter, channels
from objclass.images.source import Source, axes_by_shape, known_pixel_size
from objclass.images.trust import MAXIMUM_PLANES, check_chunk, check_inside, check_kind
from objclass.images.writer import OutputImage

_JPEG = {6, 7, 33007, 34892}
"""Compressions whose tables may stand outside the segments."""

_quiet: ContextVar[bool] = ContextVar("_quiet", default=False)

# tifffile logs what we raise as errors or rightly ignore
logging.getLogger("tifffile").addFilter(lambda _: not _quiet.get())


@contextmanager
def _opened(path: str) -> Iterator[tifffile.TiffFile]:
    token = _quiet.set(True)
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    except tifffile.TiffFileError as error:
        message = f"{path}: is not a TIFF file, or a damaged one: {error}"
        raise ImageError(message) from error
    finally:
        _quiet.reset(token)


class Keyframe:
    """tifffile's page that knows how the segments of all pages of a file are cut and decoded.

    Another process, to which it is sent, makes its own from the file: ``index`` is the page's place in it.
    """

    def __init__(self, path: str, page: Any) -> None:
        # the decoder is made on first access: here, where the file was just read
        self.path, self.page, self.decode = path, page, page.decode

    def __reduce__(self) -> tuple[Any, tuple[str, Any]]:
        return _keyframe_of, (self.path, self.page.index)

    @property
    def segment_shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns of a strip or tile."""
        if self.page.is_tiled:
            return self.page.tiledepth, self.page.tilelength, self.page.tilewidth
        return 1, self.page.rowsperstrip, self.page.imagewidth


def _keyframe_of(path: str, index: Any) -> Keyframe:
    with _opened(path) as file:
        return Keyframe(path, file.pages.get(index))


@dataclass(frozen=True)
class SegmentedStore:
    """One page that is cut into strips or tiles.

    Parameters
    ----------
    offsets, counts
        Where the segments are, in bytes.
    keyframe
        How they are cut and decoded.
    tables
        What the decoder needs besides.
    axes
        tifffile's letters.
    """

    path: str
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    keyframe: Keyframe
    tables: dict[str, Any]
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the segments that it touches are read."""
        part = dict(zip(self.axes, region, strict=True))
        box = self._box(part)
        pixels = self._read_box(box)
        shape, within = list(self.shape), list(region)
        for axis, extent, length in zip("SYX", box, (0, 2, 3), strict=True):
            if axis in part and not (axis == "S" and self._is_interleaved):
                place = self.axes.index(axis)
                shape[place] = pixels.shape[length]
                within[place] = slice(part[axis].start - extent.start, part[axis].stop - extent.start)
        return pixels.reshape(shape)[tuple(within)]

    @property
    def _is_interleaved(self) -> bool:
        return bool(self.keyframe.page.shaped[0] == 1)

    def _box(self, part: dict[str, slice]) -> tuple[slice, slice, slice]:
        """Samples, rows and columns of the segments that are touched."""
        samples, _, length, width, _ = self.keyframe.page.shaped
        _, height, across = self.keyframe.segment_shape
        planes = slice(0, samples) if self._is_interleaved else part.get("S", slice(0, samples))
        return planes, _rounded(part["Y"], height, length), _rounded(part["X"], across, width)

    def _read_box(self, box: tuple[slice, slice, slice]) -> AnyArray:
        """Pixels of the box, whole in depth: sample, z, y, x, sample."""
        _, depth, length, width, contiguous = self.keyframe.page.shaped
        deep, height, across = self.keyframe.segment_shape
        samples, rows, columns = box
        sides = [part.stop - part.start for part in box]
        pixels = np.full(
            (sides[0], depth, *sides[1:], contiguous), self.keyframe.page.nodata, self.dtype
        )  # fmt: skip
        layers = -(-depth // deep)
        numbers = (
            (plane * -(-length // height) + y) * -(-width // across) + x
            for plane in range(samples.start * layers, samples.stop * layers)
            for y in range(rows.start // height, -(-rows.stop // height))
            for x in range(columns.start // across, -(-columns.stop // across))
        )
        for segment, (s, z, y, x, _) in self._decode(numbers):
            top, left = y - rows.start, x - columns.start
            target = pixels[s - samples.start, z : z + deep, top : top + height, left : left + across]
            target[...] = segment[tuple(slice(0, n) for n in target.shape)]
        return pixels

    def _decode(self, numbers: Iterable[int]) -> Iterator[tuple[AnyArray, tuple[int, ...]]]:
        with open(self.path, "rb") as file:
            for number in numbers:
                offset, count = int(self.offsets[number]), int(self.counts[number])
                if not (offset and count):  # left out on purpose: sparse files do so
                    continue
                file.seek(offset)
                segment, place, _ = self.keyframe.decode(file.read(count), number, **self.tables)
                yield segment, place


def _rounded(part: slice, side: int, length: int) -> slice:
    """Widened to whole segments."""
    return slice(part.start // side * side, min(-(-part.stop // side) * side, length))


@dataclass(frozen=True)
class PagedStore:
    """Pages of one shape; the first axes count them."""

    pages: tuple[Stored, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region, from the pages that it touches."""
        ahead = len(self.shape) - len(self.pages[0].shape)
        numbers = np.arange(len(self.pages)).reshape(self.shape[:ahead])[region[:ahead]]
        planes = [self.pages[number].read(region[ahead:]) for number in numbers.ravel()]
        return np.stack(planes).reshape(*numbers.shape, *planes[0].shape)


def _whole(path: str, _: str) -> AnyArray:
    """What tifffile has to put together itself."""
    with _opened(path) as file:
        return np.asarray(file.series[0].asarray())


def open_tiff(path: str, internal: str, context: Context) -> Source:
    """Open a TIFF file that holds one image, of however many pages.

    Raises
    ------
    ImageError
        If it is no TIFF file, a truncated one, claims what cannot be, leads to other files elsewhere, or holds
        several images.
    """
    del internal  # axes distinguish its pages, not names
    with _opened(path) as file:
        _check_chain(path, file)
        if file.is_ome:
            _check_ome(path, file, follow_links=context.follow_links)
        if len(file.series) != 1:
            held = "; ".join(f"{s.name} {s.shape} {s.dtype}".strip() for s in file.series[:8])
            message = f"{path}: holds {len(file.series)} images, expected one: {held}"
            raise ImageError(message)
        series = file.series[0]
        axes, axes_from = _axes(series)
        store = _store(path, file, series, context)
        return Source(path, store, axes, axes_from, None, _pixel_size(file, axes))


def _axes(series: Any) -> tuple[str, str]:
    if "Q" in series.axes:  # tifffile's letter for an axis that nobody named
        return axes_by_shape(series.shape), "shape"
    return str(series.axes).lower().translate(str.maketrans("si", "ct")), "TIFF"


def _store(path: str, file: Any, series: Any, context: Context) -> Stored:
    shape, dtype = tuple(int(n) for n in series.shape), np.dtype(series.dtype)
    page, ahead = series.keyframe, _axes_ahead(series)
    if ahead is None or series.transform is not None or page.dtype != dtype:
        return WholeImage(path, "", shape, dtype, _whole, context)
    if series.dataoffset is not None and not series.is_multifile:
        return _plain(_path_of(page, path, file), page.parent, series.dataoffset, shape, dtype)
    frames = [_refuse_missing(path, n, series[n]) for n in range(len(series))]
    keyframes = {id(frame.keyframe): frame.keyframe for frame in frames}
    decoders = {key: Keyframe(_path_of(own, path, file), own) for key, own in keyframes.items()}
    _refuse_unlike(path, page, keyframes.values())
    letters = series.axes[ahead:]
    pages = tuple(
        _page(frame, decoders[id(frame.keyframe)], letters, shape[ahead:], dtype) for frame in frames
    )
    stored = PagedStore(pages, shape, dtype) if ahead else pages[0]
    if page.is_final or page.compression == 1:  # nothing to unpack
        return stored
    _, height, width = decoders[id(page)].segment_shape
    chunks = {"Y": height, "X": width}
    if page.shaped[0] > 1:  # each sample has segments of its own
        chunks["S"] = 1
    sides = (chunks.get(axis, n) for axis, n in zip(letters, shape[ahead:], strict=True))
    return CachedChunks(stored, (*(1,) * ahead, *sides), context)


def _axes_ahead(series: Any) -> int | None:
    """How many axes count pages; None if pages and axes do not match in the plain way."""
    for ahead in range(len(series.shape)):
        if prod(series.shape[:ahead]) == len(series):
            letters, size = series.axes[ahead:], prod(series.shape[ahead:])
            plain = {"Y", "X"} <= set(letters) and size == series.keyframe.size
            return ahead if plain else None
    return None


def _refuse_missing(path: str, number: int, frame: Any) -> Any:
    if frame is None:
        message = f"{path}: page {number} is missing: is it in another file of the same set?"
        raise ImageError(message)
    return frame


def _path_of(frame: Any, path: str, file: Any) -> str:
    """Where a page lies: in the file that was opened, or in another one of its set."""
    return path if frame.parent is file else str(frame.parent.filehandle.path)


def _refuse_unlike(path: str, first: Any, keyframes: Iterable[Any]) -> None:
    """Refuse a set whose files differ in what they hold: only how they pack it is their own affair."""
    for page in keyframes:
        if (page.shaped, page.dtype, page.axes) != (first.shaped, first.dtype, first.axes):
            message = (
                f"{path}: its planes differ: {first.shape} {first.dtype} and {page.shape} {page.dtype} in "
                f"{page.parent.filename}, expected one shape and dtype"
            )
            raise ImageError(message)


def _page(frame: Any, keyframe: Keyframe, axes: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Stored:
    page, file, path = keyframe.page, frame.parent, keyframe.path
    if page.is_final:
        return _plain(path, file, frame.dataoffsets[0], shape, dtype)
    depth, height, width = keyframe.segment_shape
    rows = height if page.is_tiled else min(height, page.imagelength)
    check_chunk(path, (depth, rows, width, page.shaped[-1]), dtype)
    offsets = np.asarray(frame.dataoffsets, np.int64)
    counts = np.asarray(frame.databytecounts, np.int64)
    expected = prod(page.chunked)
    if min(len(offsets), len(counts)) < expected:
        message = f"{path}: a page has {len(offsets)} of {expected} segments: is it damaged?"
        raise ImageError(message)
    _refuse_truncated(path, int((offsets + counts).max()), file.filehandle.size)
    tables = {}
    if page.compression in _JPEG:
        tables = {"jpegtables": frame.jpegtables, "jpegheader": page.jpegheader}
    return SegmentedStore(path, offsets, counts, keyframe, tables, axes, shape, dtype)


def _plain(path: str, file: Any, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> PlainStore:
    _refuse_truncated(path, offset + prod(shape) * dtype.itemsize, file.filehandle.size)
    return PlainStore(path, offset, shape, dtype.newbyteorder(file.byteorder))


def _refuse_truncated(path: str, needed: int, size: int) -> None:
    if needed > size:
        message = f"{path}: is truncated: {size} bytes, its pixels go on to {needed}"
        raise ImageError(message)


def _check_chain(path: str, file: Any) -> None:
    """Walk the directories of a file once, before tifffile does.

    It would go round in a circle, or read a few bytes as directory upon directory; and where one points
    beyond the end of the file, it would just stop.
    """
    tiff, handle = file.tiff, file.filehandle
    offset, seen, total = int(file.pages.first.offset), set[int](), 0
    while offset:
        _refuse_truncated(path, offset + tiff.tagnosize, handle.size)
        handle.seek(offset)
        (tags,) = struct.unpack(tiff.tagnoformat, handle.read(tiff.tagnosize))
        length = tiff.tagnosize + tags * tiff.tagsize
        _refuse_truncated(path, offset + length, handle.size)
        total += length
        if offset in seen or total > handle.size:
            message = f"{path}: its directories overlap or go round in a circle: is it damaged?"
            raise ImageError(message)
        seen.add(offset)
        handle.seek(tags * tiff.tagsize, os.SEEK_CUR)
        pointer = handle.read(tiff.offsetsize)
        whole = len(pointer) == tiff.offsetsize
        offset = int(struct.unpack(tiff.offsetformat, pointer)[0]) if whole else 0


def _check_ome(path: str, file: Any, *, follow_links: bool) -> None:
    """Look at what OME-XML claims, before tifffile makes room for it, and at the other files that it names."""
    try:
        root = ET.fromstring(file.ome_metadata or "<OME/>")  # noqa: S314  expat bounds what entities become
    except ET.ParseError:  # tifffile does without it
        return
    _check_planes(path, file, root)
    folder = os.path.dirname(os.path.abspath(path))
    names = {element.get("FileName", "") for element in root.iter() if element.tag.endswith("}UUID")}
    for name in sorted(names - {"", os.path.basename(path)}):
        other = os.path.join(folder, name)
        if not os.path.exists(other):  # found out where its planes are wanted
            continue
        check_inside(other, folder, follow_links=follow_links)
        check_kind(other)
        with suppress(tifffile.TiffFileError), tifffile.TiffFile(other) as companion:
            _check_chain(other, companion)


def _check_planes(path: str, file: Any, root: ET.Element) -> None:
    stretches = [
        (float(along.get("End", 0)) - float(along.get("Start", 0))) / float(along.get("Step", 1))
        for along in root.iter()
        if "Along" in along.tag and along.get("Start")
    ]
    claims = [
        sum(int(data.get("PlaneCount", data.get("NumPlanes", 0))) or len(file.pages) for data in pixels)
        for pixels in root.iter()
        if pixels.tag.endswith("}Pixels")
    ]
    sizes = [
        prod(int(pixels.get(f"Size{axis}", 1)) for axis in "XYZCT") // max(file.pages.first.size, 1)
        for pixels in root.iter()
        if pixels.tag.endswith("}Pixels")
    ]
    most = max([*stretches, *claims, *sizes], default=0)
    if not most <= MAXIMUM_PLANES:
        message = f"{path}: claims {most:.0f} planes, expected at most {MAXIMUM_PLANES}: is it damaged?"
        raise ImageError(message)


def _pixel_size(file: Any, axes: str) -> PixelSize | None:
    try:
        if file.is_ome:
            return _ome_pixel_size(file.ome_metadata, axes)
        if file.is_imagej:
            return _imagej_pixel_size(file, axes)
    except (ValueError, TypeError, KeyError, ET.ParseError):  # it is not worth failing for
        return None
    return None


def _ome_pixel_size(text: str, axes: str) -> PixelSize | None:
    root = ET.fromstring(text)  # noqa: S314  tifffile has parsed it already
    pixels = next((e for e in root.iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    keys = {axis: f"PhysicalSize{axis.upper()}" for axis in "xyz"}
    sizes = {axis: float(pixels.get(key, 0)) for axis, key in keys.items()}
    units = {axis: pixels.get(f"{key}Unit", "µm") for axis, key in keys.items()}
    known = known_pixel_size(sizes, units, axes)
    return known if known is not None and known.unit else None


def _imagej_pixel_size(file: Any, axes: str) -> PixelSize | None:
    meta, tags = file.imagej_metadata, file.pages[0].tags
    unit = str(meta.get("unit", ""))
    sizes = {"z": float(meta.get("spacing", 1))}  # ImageJ writes a spacing that is not 1
    for axis, key in (("x", "XResolution"), ("y", "YResolution")):
        pixels, units = tags[key].value
        sizes[axis] = units / pixels if pixels else 0.0
    given = {axis: str(meta.get(f"{axis}unit", unit)) for axis in "xyz"}
    known = known_pixel_size(sizes, given, axes)
    return known if known is not None and known.unit else None


class TiffWriter(PlaneWriter):
    """Writes a TIFF file of one plane, of any number of channels, rows y and columns x."""

    format: ClassVar[str] = "tiff"

    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        count = shape[2]
        self._map: Any = tifffile.memmap(
            self._path,
            shape=shape if count > 1 else shape[:2],
            dtype=dtype.newbyteorder("<"),
            **_plane_options(count, dtype),
        )
        reserve(self._path)
        return self._map.reshape(shape)

    def close(self) -> None:
        """Finish the file."""
        self._map.flush()  # raises what the disk refuses
        self.abort()

    def abort(self) -> None:
        """Let go of the file."""
        del self._plane, self._map


def _plane_options(count: int, dtype: np.dtype[Any]) -> dict[str, Any]:
    """How a plane of some channels is written."""
    is_colour = count == len("rgb") and dtype in (np.uint8, np.uint16)
    return {
        "byteorder": "<",
        "photometric": "rgb" if is_colour else "minisblack",
        "planarconfig": None if count == 1 else "contig",
        "metadata": None,
        "ome": False,
        "software": "objclass",
    }


class CompressedTiffWriter(EncodedWriter):
    """Writes a TIFF file of one plane, packed without loss."""

    format: ClassVar[str] = "tiff"

    def _encoded(self, pixels: AnyArray) -> bytes:
        file = BytesIO()
        options = _plane_options(1 if pixels.ndim == 2 else pixels.shape[2], pixels.dtype)
        tifffile.imwrite(file, pixels, **options, **_PACKED)
        return file.getvalue()


_PACKED: dict[str, Any] = {"compression": "zlib", "compressionargs": {"level": 6}, "maxworkers": 1}


class MultipageTiffWriter:
    """Writes an OME-TIFF file: a page for each t, z and c, in this order, whatever the axes."""

    layout = "tzcyx"
    """The order in which pixels lie in the file: blocks that lie so need not be moved."""

    is_concurrent = True

    def __init__(self, path: str, image: OutputImage, context: Context | None = None) -> None:
        self._axes = image.axes
        self.chunks = (1,) * len(image.axes)
        lengths = dict(zip(image.axes, image.shape, strict=True))
        self._shape = tuple(lengths.get(axis, 1) for axis in "tzcyx")
        self._begin(path, image)

    def _begin(self, path: str, image: OutputImage) -> None:
        """Make the file."""
        dtype = image.dtype.newbyteorder("<")
        mapped: Any = tifffile.memmap(path, shape=self._shape, dtype=dtype, ome=True, **_page_options(image))
        self._file = PlainFile(path, mapped.offset, mapped.shape, mapped.dtype)

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why an OME-TIFF file cannot hold the image and what can."""
        if image.dtype.str[1:] not in _OME_DTYPES:
            return f"holds 8 to 32 bits and float64, not {image.dtype}: use hdf5"
        return None

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        given = dict(zip(self._axes, region, strict=True))
        target = tuple(given.get(axis, slice(0, 1)) for axis in "tzcyx")
        present = [axis for axis in "tzcyx" if axis in self._axes]
        missing = tuple("tzcyx".index(axis) for axis in "tzcyx" if axis not in present)
        ordered = block.transpose([self._axes.index(axis) for axis in present])
        self._put(target, np.expand_dims(ordered, missing))

    def _put(self, target: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the pages."""
        self._file.write(target, block)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Let go of the file."""
        self._file.abort()


class CompressedMultipageTiffWriter(MultipageTiffWriter):
    """Writes an OME-TIFF file whose pages are packed without loss, one by one at the end.

    Until then pixels wait on the disk, in a file without a name next to the one that is written.
    """

    def _begin(self, path: str, image: OutputImage) -> None:
        self._path, self._image = path, image
        with TemporaryFile(dir=os.path.dirname(path) or ".") as file:
            self._waiting: Any = np.memmap(file, image.dtype, "w+", shape=self._shape)
            reserve_part(file.fileno(), 0, self._waiting.nbytes)

    def _put(self, target: tuple[slice, ...], block: AnyArray) -> None:
        self._waiting[target] = block

    def close(self) -> None:
        """Pack the pages into the file."""
        dtype = self._image.dtype.newbyteorder("<")
        pages = (np.ascontiguousarray(page, dtype) for page in self._waiting.reshape(-1, *self._shape[-2:]))
        options = _page_options(self._image) | _PACKED
        is_big = self._waiting.nbytes > _CLASSIC_BYTES
        with tifffile.TiffWriter(
            self._path, bigtiff=is_big, ome=True, byteorder=options.pop("byteorder")
        ) as file:
            file.write(pages, shape=self._shape, dtype=dtype, **options)
        self.abort()

    def abort(self) -> None:
        """Let go of the pixels."""
        del self._waiting


_CLASSIC_BYTES = (1 << 32) - (1 << 25)
"""Pixels of which a file has offsets of 32 bits, whatever their packing adds."""


def _page_options(image: OutputImage) -> dict[str, Any]:
    """How pages are written."""
    return {
        "byteorder": "<",
        "photometric": "minisblack",
        "metadata": _ome(image),
        "software": "objclass",
    }


_OME_DTYPES = {"u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"}


def _ome(image: OutputImage) -> dict[str, Any]:
    # tifffile's own would differ from run to run
    found: dict[str, Any] = {"axes": "TZCYX", "UUID": f"urn:uuid:{UUID(int=0)}", "Creator": "objclass"}
    size = image.pixel_size
    if size is not None:
        unit = {"um": "µm", "": "pixel"}.get(size.unit, size.unit)
        for axis in [axis for axis in "xyz" if axis in image.axes]:  # an image of planes has no size along z
            key = f"PhysicalSize{axis.upper()}"
            found |= {key: getattr(size, axis), f"{key}Unit": unit}
    if len(image.names) == channels(image) and not image.labels:
        found["Channel"] = {"Name": list(image.names)}
        if len(image.colors) == len(image.names):
            found["Channel"]["Color"] = [_ome_color(color) for color in image.colors]
    return found


def _ome_color(color: tuple[int, int, int]) -> int:
    """Red, green, blue and an opaque alpha as the bytes of a signed number, as OME has it."""
    return int.from_bytes((*color, 255), signed=True)
