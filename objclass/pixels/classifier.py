"""The pixel classifier: which channels it looks at, and the forests that it asks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from objclass.errors import ProjectError
from objclass.forest import Forest
from objclass.pixels.features import PixelFeatures


@dataclass(frozen=True)
class PixelClassifier:
    """What a trained pixel classification says.

    Parameters
    ----------
    features
        The channels of a pixel, which are the columns of the forests.
    classes
        Names of the classes.
    forests
        Their probabilities are averaged, each forest weighing as many trees as it has.
    known
        For each column of the forests' probabilities the number of its class, from 1: a class without labels is
        unknown to them.
    colors
        Red, green, blue of each class, 0 to 255, as far as known.

    Raises
    ------
    ProjectError
        If the forests look at different numbers of channels, or know other classes than these.
    """

    features: PixelFeatures
    classes: tuple[str, ...]
    forests: tuple[Forest, ...] = field(repr=False)
    known: tuple[int, ...]
    colors: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.forests or len({forest.columns for forest in self.forests}) > 1:
            widths = sorted({forest.columns for forest in self.forests})
            message = (
                f"forests of the pixel classifier look at {widths} channels: expected one number for all"
            )
            raise ProjectError(message)
        if any(forest.classes != len(self.known) for forest in self.forests) or not all(
            1 <= number <= len(self.classes) for number in self.known
        ):
            message = (
                f"forests of the pixel classifier know the classes {list(self.known)}: expected some of 1 to "
                f"{len(self.classes)}"
            )
            raise ProjectError(message)

    @property
    def columns(self) -> int:
        """Number of channels that the forests look at."""
        return self.forests[0].columns

    def predict(
        self,
        rows: NDArray[np.float32],
        extents: tuple[int, int, int] | None = None,
        pixels: int | None = None,
    ) -> NDArray[np.float32]:
        """Class probabilities of pixels, by one thread.

        Parameters
        ----------
        rows
            Channels of each pixel, shape (pixels, channels).
        extents
            Lengths z, y, x, if the pixels are those of an image in C order: so it is faster.
        pixels
            Number of pixels of the whole run, to choose the formulation.

        Returns
        -------
        numpy.ndarray
            float32, shape (pixels, classes); 0 for classes that the forests do not know.
        """
        total = np.zeros((len(rows), len(self.known)), np.float32)
        work = (pixels or len(rows)) * sum(forest.trees for forest in self.forests)
        for forest in self.forests:
            found = forest.predict(rows, extents=extents, work=work).probabilities
            total += found * np.float32(forest.trees)
        total /= np.float32(sum(forest.trees for forest in self.forests))
        found = np.zeros((len(rows), len(self.classes)), np.float32)
        found[:, [number - 1 for number in self.known]] = total
        return found

    def check(self, shape: tuple[int, int, int], channels: int, described: str) -> None:
        """Refuse an image that is smaller than a filter, or whose channels are not those of the forests.

        Parameters
        ----------
        shape, channels
            Lengths z, y, x and number of channels of the image.
        described
            How the message names the image.

        Raises
        ------
        ProjectError
            With what does not fit.
        """
        depth = shape[0]
        wide = self.features.beyond(shape)
        if wide:
            message = (
                f"{described}: {' × '.join(map(str, shape))} pixels along z, y, x are fewer than the filters of sigma "
                f"{', '.join(f'{sigma:g}' for sigma in wide)} reach: give a larger image, or train without these sigmas"
            )
            raise ProjectError(message)
        width = self.features.count(depth, channels)
        if width != self.columns:
            message = (
                f"{described}: {channels} channels in {'2D' if depth == 1 else '3D'} give {width} feature channels, "
                f"the pixel classifier was trained on {self.columns} (wrong --input_axes?)"
            )
            raise ProjectError(message)


def segmentation(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The most probable class of each pixel, from 1, the first of equals; the last axis is that of the classes."""
    return (probabilities.argmax(axis=-1) + 1).astype(np.uint8)


def uncertainty(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 less the gap between the two most probable classes; the last axis is that of the classes."""
    if probabilities.shape[-1] == 1:
        return 1 - probabilities[..., 0]
    top = np.sort(probabilities, axis=-1)[..., -2:]
    return 1 - (top[..., 1] - top[..., 0])


def interleaved(channels: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Channels of a box (z, y, x) as rows, one for each pixel in C order."""
    rows = np.empty((channels[0].size, len(channels)), np.float32)
    for number, channel in enumerate(channels):
        rows[:, number] = channel.reshape(-1)
    return rows
