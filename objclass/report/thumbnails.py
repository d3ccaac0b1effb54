"""Thumbnails: crops of objects as small pictures, with an outline in the color of their class."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray
from objclass.pipeline.crops import PERCENTILES, Crop, contrast_limits
from objclass.report.page import Color

SIDE = 96
"""Pixels along the longer side of a thumbnail."""

PALETTE = 128
"""Colors of a thumbnail: enough for the eye, and half of the bytes."""

TINTS = {
    1: ((1.0, 1.0, 1.0),),
    2: ((0.0, 1.0, 0.0), (1.0, 0.0, 1.0)),
    3: ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)),
}
"""Colors of the channels that are not red, green and blue: any two differ for colour-blind people, all together are white."""


@dataclass(frozen=True)
class Contrast:
    """How values become shades.

    Parameters
    ----------
    low, high
        The values of each channel that are shown as black and as its full color.
    is_color
        Whether the channels are red, green and blue of 8 bits, which are shown as they are.
    """

    low: FloatArray
    high: FloatArray
    is_color: bool = False

    @property
    def described(self) -> str:
        """A sentence for the page."""
        if self.is_color:
            return "Colours are those of the image."
        of = "" if len(self.low) == 1 else " of each channel, the first three at most"
        low, high = PERCENTILES
        return (
            f"From black to white: percentiles {low:g} to {high:g}{of}, over all pictures together, so that their "
            "brightness can be compared."
        )


def contrast_of(crops: Sequence[Crop], *, is_color: bool = False) -> Contrast:
    """One contrast for all crops, which have the same channels.

    Parameters
    ----------
    is_color
        Whether the channels are red, green and blue of 8 bits.
    """
    if is_color:
        channels = crops[0].raw.shape[-1]
        return Contrast(np.zeros(channels), np.full(channels, 255.0), is_color=True)
    return Contrast(*contrast_limits([crop.raw for crop in crops]))


def thumbnail(crop: Crop, contrast: Contrast, color: Color) -> bytes:
    """A crop as PNG: its longer side has `SIDE` pixels; the outline runs around the object, not over it."""
    from PIL import Image

    height, width = crop.mask.shape
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    seen = Image.fromarray(_colored(crop.raw, contrast)).resize(size, Image.Resampling.BICUBIC)
    mask = Image.fromarray(crop.mask).resize(size, Image.Resampling.NEAREST)
    pixels = np.array(seen)
    inside = np.array(mask, bool)
    outline = _grown(_grown(inside))
    pixels[_grown(outline)] //= 2
    pixels[outline] = color
    pixels[inside] = np.array(seen)[inside]
    file = io.BytesIO()
    Image.fromarray(pixels).quantize(PALETTE, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _colored(raw: AnyArray, contrast: Contrast) -> NDArray[np.uint8]:
    """A crop (y, x, c) as red, green, blue."""
    if contrast.is_color:
        return np.ascontiguousarray(raw)
    tints = np.array(TINTS[raw.shape[-1]])
    low, high = contrast.low, contrast.high
    values = np.nan_to_num(raw.astype(np.float64)).clip(low, high)
    shares = (values - low) / np.where(high > low, high - low, 1)
    mixed = sum(shares[..., c, None] * tint for c, tint in enumerate(tints))
    return np.rint(np.minimum(mixed, 1) * 255).astype(np.uint8)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask with its direct neighbours."""
    around = np.pad(mask, 1)
    return mask | around[:-2, 1:-1] | around[2:, 1:-1] | around[1:-1, :-2] | around[1:-1, 2:]
