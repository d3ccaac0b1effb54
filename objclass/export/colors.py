"""Pictures of the classes in their colors, since class images look black in most viewers."""

from pathlib import Path

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, Image, Lane
from objclass.export.files import LaneFiles
from objclass.export.sink import Header
from objclass.pipeline.lane import Step
from objclass.project.model import Project, class_colors

PICTURES = ("Class Colors", "Class Outlines")
"""Result types: the classes in their colors; their outlines on the raw data (RGB or grey), or on black."""


class ColorSink:
    """Two PNG files of the middle plane of the middle time step."""

    duty = "colors"

    def __init__(self, lane: Lane, project: Project, paths: tuple[str, ...]) -> None:
        self._lane, self._paths = lane, paths
        self._colors = np.array([(0, 0, 0), *class_colors(project.colors, len(project.classes))], np.uint8)
        self._pictures: tuple[AnyArray, AnyArray] | None = None

    def refusal(self, header: Header) -> str | None:
        """Any lane has a middle plane."""
        return None

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Get the temporary names."""
        self._temporary = [files.add(path) for path in self._paths]

    def step(self, step: Step) -> None:
        """Paint the middle plane."""
        steps, depth, height, width, _ = self._lane.objects.shape
        if step.t != steps // 2 or step.predictions is None:
            return
        z = depth // 2
        plane = step.objects.labels[slice(z, z + 1), slice(0, height), slice(0, width)][0]
        classes = np.concatenate([[0], step.predictions.classes])[plane]
        colored = self._colors[classes]
        seen = self._raw(step.t, z)
        edge = outlines(plane)
        seen[edge] = colored[edge]
        self._pictures = colored, seen

    def _raw(self, t: int, z: int) -> AnyArray:
        """The plane of the raw data as RGB: its colors as they are, else shades of grey."""
        _, _, height, width, _ = self._lane.objects.shape
        raw = self._lane.raw
        if raw is None:
            return np.zeros((height, width, 3), np.uint8)
        shown = 3 if has_colors(raw) else 1
        region = (slice(t, t + 1), slice(z, z + 1), slice(0, height), slice(0, width), slice(0, shown))
        plane = raw.read(region)[0, 0]
        return plane.copy() if shown == 3 else in_grey(plane[..., 0])

    def finish(self) -> None:
        """Write the files."""
        import imagecodecs

        assert self._pictures is not None
        for path, picture in zip(self._temporary, self._pictures, strict=True):
            Path(path).write_bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))
        self._pictures = None

    def commit(self) -> None:
        """Nothing is shared between lanes."""

    def abort(self) -> None:
        """Discard the pictures."""
        self._pictures = None


def has_colors(image: Image) -> bool:
    """Whether the channels of an image are red, green and blue of 8 bits, and alpha if there are four."""
    return image.dtype == np.uint8 and image.shape[4] in (3, 4)


def in_grey(plane: AnyArray) -> AnyArray:
    """A plane (y, x) as RGB, smallest value black and largest white.

    Examples
    --------
    >>> in_grey(np.array([[2.0, 4.0]])).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    pixels = np.nan_to_num(plane.astype(np.float64))
    low, high = pixels.min(), pixels.max()
    grey = (pixels - low) / (high - low or 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def outlines(plane: AnyArray) -> AnyArray:
    """Pixels of objects next to a pixel of another object, of background, or at the border of the image.

    Examples
    --------
    >>> outlines(np.array([[1, 1, 1], [1, 1, 1], [1, 1, 1]])).astype(int)
    array([[1, 1, 1],
           [1, 0, 1],
           [1, 1, 1]])
    """
    around = np.pad(plane, 1)
    inner = around[1:-1, 1:-1]
    shifted = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
    return (inner != 0) & np.any([inner != other for other in shifted], axis=0)
