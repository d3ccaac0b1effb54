"""Where to label next: images of the uncertainty of a classifier."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from objclass import registry
from objclass.compute.context import Context
from objclass.core import AXES, Image, from_canonical
from objclass.errors import OutputError
from objclass.images.sequence import writer_of
from objclass.images.writer import OutputImage, Writer
from objclass.pixels.classifier import PixelClassifier, uncertainty
from objclass.pixels.prediction import PredictedPixels


@dataclass(frozen=True)
class SuggestionFile:
    """A file that shows how uncertain a classifier is: 0 is sure, 1 is a tie; float32.

    Parameters
    ----------
    path
        Its suffix says the format.
    image
        The raw image; its axes without channels are those of the file.

    Raises
    ------
    OutputError
        If there is no such format, or none of that suffix can hold the image.
    """

    path: str
    image: Image
    output: OutputImage = field(init=False)
    format: str = field(init=False)

    def __post_init__(self) -> None:
        axes = self.image.axes.replace("c", "")
        lengths = dict(zip(AXES, self.image.shape, strict=True))
        size = self.image.pixel_size
        dtype = np.dtype(np.float32)
        output = OutputImage(axes, tuple(lengths[a] for a in axes), dtype, drange=(0.0, 1.0), pixel_size=size)
        object.__setattr__(self, "output", output)
        object.__setattr__(self, "format", self._format())

    def _format(self) -> str:
        """The first format of the suffix that holds the image."""
        suffix = Path(self.path).suffix.lower()
        entry = registry.image_format(suffix)
        names = [known.name for known in entry.outputs] if entry else []
        refusals = {name: writer_of(name).refusal(self.output) for name in names}
        fitting = [name for name, refusal in refusals.items() if refusal is None]
        if not fitting:
            why = next(iter(refusals.values()), f"nothing here writes files with the suffix '{suffix}'")
            message = f"--suggest {self.path}: {why} (.tif, .h5 and .npy hold any image)"
            raise OutputError(message)
        return fitting[0]

    def write(self, path: str, classifier: PixelClassifier, context: Context) -> None:
        """Predict cube by cube, and write the uncertainty under a temporary name."""
        pixels = PredictedPixels(classifier, self.image, context)
        writer: Writer = writer_of(self.format)(path, self.output, context)
        axes = self.output.axes
        try:
            for region in _regions(pixels):
                block = uncertainty(pixels.read(region))[..., None]
                place = dict(zip(AXES, region, strict=True))
                writer.write(tuple(place[axis] for axis in axes), from_canonical(block, axes))
                context.progress(self.image.name, region[0].stop / pixels.shape[0])
        except BaseException:
            writer.abort()
            raise
        writer.close()


def _regions(pixels: PredictedPixels) -> Iterator[tuple[slice, ...]]:
    """The cubes of a prediction, all classes in each."""
    sides = zip(pixels.shape, pixels.chunks, strict=True)
    cuts: list[list[slice[Any, Any, Any]]] = [
        [slice(start, min(start + side, n)) for start in range(0, n, side)] for n, side in sides
    ]
    yield from product(*cuts)
