"""What the inputs of a lane have to agree on, and what is told where they do not."""

import numpy as np
import pytest

from objclass.core import Image, Lane, PixelSize
from objclass.errors import ImageError
from objclass.images import from_array
from objclass.pipeline.inputs import warn_of_pixel_sizes


def image(name: str, shape: tuple[int, ...] = (4, 5), size: PixelSize | None = None) -> Image:
    made = from_array(np.zeros(shape, np.uint8), name=name)
    return Image(name, made.stored, made.axes, made.axes_from, None, size)


def lane(raw: Image | None, objects: Image, atlas: Image | None = None) -> Lane:
    return Lane(raw, objects, "segmentation_image", "a", ".", atlas)


def test_mismatch_tells_of_each_input() -> None:
    with pytest.raises(ImageError) as refusal:
        lane(image("raw.png", (5, 4)), image("seg.png"), image("atlas.npy"))
    message = str(refusal.value)
    assert message.startswith(
        "raw data raw.png (5, 4) with axes yx from shape and segmentation image seg.png"
    )
    assert "atlas atlas.npy (4, 5) with axes yx from shape differ along y (wrong --input_axes?" in message
    assert "\n" not in message


def test_pixel_size_is_that_of_any_input() -> None:
    size = PixelSize(0.5, 0.5, 1, "um")
    assert lane(image("a"), image("b", size=size)).pixel_size == size
    assert lane(image("a", size=size), image("b")).pixel_size == size
    assert lane(None, image("b"), image("c", size=size)).pixel_size == size
    assert lane(image("a"), image("b")).pixel_size is None


def test_pixel_sizes_that_differ_are_told(caplog: pytest.LogCaptureFixture) -> None:
    raw = image("raw.png", size=PixelSize(0.5, 0.25, 1, "um"))
    rounded = image("seg.png", size=PixelSize(0.500001, 0.25, 3, "um"))  # one plane: z is nothing
    warn_of_pixel_sizes([lane(raw, rounded), lane(raw, image("b")), lane(None, image("b"))])
    assert not caplog.messages
    warn_of_pixel_sizes([lane(raw, image("seg.png", size=PixelSize(1, 1, 1, "um")))])
    (message,) = caplog.messages
    assert message == (
        "pixel sizes differ: y=0.25,x=0.5um in raw.png, y=1,x=1um in seg.png; y=1,x=1um is used "
        "(give --pixel_size for another one)"
    )
