"""Images of cameras and browsers: PNG, JPEG, BMP, GIF, Netpbm, Sun raster. Axes are y, x, channel.

As in ilastik's reader, palettes become red, green and blue, and fewer than 8 bits become 8: black
and white is 0 and 255. A GIF of several frames has a z axis. Radiance (HDR) and OpenEXR hold floats;
OpenEXR is read with the package of that name (``pip install objclass[exr]``).
"""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

import numpy as np
from PIL import Image as Pillow

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.errors import ImageError
from objclass.images.chunked.whole import WholeImage
from objclass.images.formats import netpbm, viff
from objclass.images.formats.plane import EncodedWriter
from objclass.images.source import Source
from objclass.images.trust import check_claim

_PNG = b"\x89PNG\r\n\x1a\n"

_RADIANCE = b"#?"

_RADIANCE_SIZE = re.compile(rb"\n-Y (\d+) \+X (\d+)\n")

_LONGEST_HEADER = 1 << 16

_EXR = b"\x76\x2f\x31\x01"

_EXR_ORDER = "RGBA"
"""Channels that come first; others follow by name."""

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""Colour type of a PNG file -> its channels."""

_PILLOWS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "SUN", "WEBP")
"""Formats that Pillow may take a file for: with all others, a small Sun raster is a brush of GIMP."""

_MODE_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}
"""Pillow's modes of 8 bits that are taken as they are -> their channels."""

_WIDE_MODES = {"F": np.float32, "I": np.int32, "I;16": np.uint16, "I;16B": np.uint16}
"""Pillow's modes of one channel and more bits -> their dtype."""


def _decoded(path: str, _: str) -> AnyArray:
    """Pixels, axes y, x, c; or z, y, x, c for several frames."""
    if _begins_with(path, _PNG):
        return _decode_png(path)
    if netpbm.is_numeric(path):
        return netpbm.decode(path)
    if _begins_with(path, viff.MAGIC):
        return viff.decode(path)
    if _begins_with(path, _RADIANCE):
        return _decode_radiance(path)
    if _begins_with(path, _EXR):
        return _decode_exr(path)
    return _decode_other(path)


def open_raster(path: str, internal: str, context: Context) -> Source:
    """Open an image; the file's first bytes say what it is, whatever its suffix.

    Raises
    ------
    ImageError
        If it is not such an image.
    """
    del internal  # such files hold one array
    shape, dtype = _header(path)
    check_claim(path, shape, dtype)
    axes = "yxc" if len(shape) == len("yxc") else "zyxc"
    stored = WholeImage(path, "", shape, dtype, _decoded, context)
    if _begins_with(path, _EXR):
        stored = replace(stored, dtype=stored.pixels().dtype)
    return Source(path, stored, axes, "raster image")


def _header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if _begins_with(path, _PNG):
        return _png_header(path)
    if netpbm.is_numeric(path):
        return netpbm.header(path)
    if _begins_with(path, viff.MAGIC):
        return viff.header(path)
    if _begins_with(path, _RADIANCE):
        return _radiance_header(path)
    if _begins_with(path, _EXR):
        return _exr_header(path)
    return _other_header(path)


def _begins_with(path: str, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def _png_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with open(path, "rb") as file:
        head = file.read(26)
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
    return (height, width, _PNG_CHANNELS[colour]), dtype


def _decode_png(path: str) -> AnyArray:
    import imagecodecs

    (height, width, channels), _ = _png_header(path)
    with open(path, "rb") as file:
        pixels: AnyArray = imagecodecs.png_decode(file.read())
    # a transparent colour makes a channel that the header does not name
    return pixels.reshape(height, width, -1)[..., :channels]


def _radiance_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with open(path, "rb") as file:
        match = _RADIANCE_SIZE.search(file.read(_LONGEST_HEADER))
    if match is None:
        message = (
            f"{path}: is a damaged Radiance image, or one that is not stored row by row from the top left"
        )
        raise ImageError(message)
    return (int(match[1]), int(match[2]), len("rgb")), np.dtype(np.float32)


def _decode_radiance(path: str) -> AnyArray:
    import imagecodecs

    with open(path, "rb") as file:
        pixels: AnyArray = imagecodecs.rgbe_decode(file.read())
    return pixels


def _exr_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape, and the widest type that channels have: the header does not say which they are of."""
    with _opened_exr(path, header_only=True) as file:
        (left, top), (right, bottom) = file.header()["dataWindow"]
        channels = file.header()["channels"]
    if any((channel.xSampling, channel.ySampling) != (1, 1) for channel in channels):
        message = f"{path}: its channels differ in size, expected one size"
        raise ImageError(message)
    return (int(bottom - top) + 1, int(right - left) + 1, len(channels)), np.dtype(np.float32)


def _decode_exr(path: str) -> AnyArray:
    with _opened_exr(path, separate_channels=True) as file:
        planes = {name: channel.pixels for name, channel in file.channels().items()}
    order = sorted(planes, key=lambda name: (_EXR_ORDER.find(name) % (len(_EXR_ORDER) + 1), name))
    return np.stack([planes[name] for name in order], axis=-1)


def _opened_exr(path: str, **options: bool) -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        message = f"{path}: is read with OpenEXR, which is not installed: pip install objclass[exr]"
        raise ImageError(message) from error
    return OpenEXR.File(path, **options)


@contextmanager
def _opened(path: str) -> Iterator[Pillow.Image]:
    with open(path, "rb") as file, _identified(path, file) as image:
        yield image


def _identified(path: str, file: BinaryIO) -> Pillow.Image:
    """What `Pillow.open` returns, but for its limit of pixels: slides are larger than it allows.

    That limit is of the whole process; `check_claim` is ours.
    """
    Pillow.init()
    start = file.read(16)
    for make, accept in (Pillow.OPEN[name] for name in _PILLOWS if name in Pillow.OPEN):
        accepted = accept(start) if accept else True
        if accepted and not isinstance(accepted, str):
            file.seek(0)
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                return make(file, path)
    message = f"{path}: is not an image, or a damaged one"
    raise ImageError(message)


def _mode(image: Pillow.Image) -> str:
    is_plain = image.mode in _MODE_CHANNELS or image.mode in _WIDE_MODES
    return image.mode if is_plain else "L" if image.mode == "1" else "RGB"


def _other_header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with _opened(path) as image:
        mode = _mode(image)
        plane = (image.height, image.width, _MODE_CHANNELS.get(mode, 1))
        frames = _frames(image)
    return (plane if frames == 1 else (frames, *plane)), np.dtype(_WIDE_MODES.get(mode, np.uint8))


def _decode_other(path: str) -> AnyArray:
    with _opened(path) as image:
        mode = _mode(image)
        frames = []
        for number in range(_frames(image)):
            image.seek(number)
            pixels = np.asarray(image.convert(mode))
            frames.append(pixels.reshape(*pixels.shape[:2], -1))
    return frames[0] if len(frames) == 1 else np.stack(frames)


def _frames(image: Pillow.Image) -> int:
    return getattr(image, "n_frames", 1) if image.format == "GIF" else 1


class PngWriter(EncodedWriter):
    """Writes a PNG file: one plane of 8 or 16 bits, grey or in three colours; no palette."""

    format: ClassVar[str] = "png"

    def _encoded(self, pixels: AnyArray) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.png_encode(pixels))


class BmpWriter(EncodedWriter):
    """Writes a BMP file: one plane of 8 bits, grey (its palette is that of greys) or in three colours."""

    format: ClassVar[str] = "bmp"

    def _encoded(self, pixels: AnyArray) -> bytes:
        return _saved(pixels, "BMP")


class GifWriter(EncodedWriter):
    """Writes a GIF file: one grey plane of 8 bits; its palette is that of greys."""

    format: ClassVar[str] = "gif"

    def _encoded(self, pixels: AnyArray) -> bytes:
        return _saved(pixels, "GIF", optimize=False)  # optimized, values would be renumbered


class JpegWriter(EncodedWriter):
    """Writes a JPEG file: one plane of 8 bits, grey or in three colours, as near as JPEG comes."""

    format: ClassVar[str] = "jpeg"

    def _encoded(self, pixels: AnyArray) -> bytes:
        return _saved(pixels, "JPEG", quality=100, subsampling=0)


class HdrWriter(EncodedWriter):
    """Writes a Radiance file: one plane in three colours that share an exponent, 8 bits of each.

    What is negative or no number becomes 0.
    """

    format: ClassVar[str] = "hdr"

    def _encoded(self, pixels: AnyArray) -> bytes:
        import imagecodecs

        return bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(pixels), header=True))


def _saved(pixels: AnyArray, name: str, **options: Any) -> bytes:
    """A file as Pillow makes it."""
    file = BytesIO()
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(file, name, **options)
    return file.getvalue()
