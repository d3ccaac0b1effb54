"""From raw data to probabilities: one pixel classifier, or the two stages of autocontext."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AXES, COMPUTED_AXES, AnyArray, Image, from_canonical
from objclass.errors import InputError
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.filters import Pixels
from objclass.pixels.prediction import ComputedFeatures, JoinedChannels, PredictedPixels
from objclass.pixels.time_step import KeptTimeStep


@dataclass(frozen=True, eq=False)
class Wrapped:
    """An array that shows another one otherwise: of the same shape and type, unless it says more."""

    stored: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.stored.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return np.dtype(self.stored.dtype)


@dataclass(frozen=True, eq=False)
class Masked(Wrapped):
    """An array whose pixels are 0 where a mask is: t, z, y, x, channels; the mask has one channel."""

    mask: Image

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the pieces that are computed together."""
        return tuple(self.stored.chunks)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of a region."""
        t, z, y, x, _ = region
        inside = self.mask.read((t, z, y, x, slice(0, 1))) != 0
        return np.where(inside, self.stored.read(region), self.stored.dtype.type(0))


@dataclass(frozen=True, eq=False)
class AsPixels(Wrapped):
    """Probabilities as the second stage of autocontext sees them: 0 to 255, whole numbers if raw data are."""

    is_whole: bool

    def read(self, region: tuple[slice, ...]) -> Pixels:
        """Pixels of a region."""
        pixels: Pixels = self.stored.read(region) * np.float32(255)
        return np.floor(pixels) if self.is_whole else pixels


@dataclass(frozen=True, eq=False)
class InAxes(Wrapped):
    """An array with the axes t, z, y, x, c in another order; axes of length 1 may be left out."""

    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        lengths = dict(zip(AXES, self.stored.shape, strict=True))
        return tuple(int(lengths[axis]) for axis in self.axes)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of a region, in its axes."""
        given = dict(zip(self.axes, region, strict=True))
        return from_canonical(
            self.stored.read(tuple(given.get(axis, slice(0, 1)) for axis in AXES)), self.axes
        )


def stage_input(raw: Image, earlier: Sequence[PixelClassifier], context: Context) -> Image:
    """What a stage looks at: raw data; after an ``earlier`` stage, raw data and its probabilities."""
    image = raw
    for classifier in earlier:
        image = joined_to(raw, KeptTimeStep(PredictedPixels(classifier, image, context), context))
    return image


def joined_to(raw: Image, probabilities: Any) -> Image:
    """Raw data and the probabilities of a stage (t, z, y, x, classes): what the next stage looks at."""
    seen = Image(raw.name, AsPixels(probabilities, raw.dtype.kind in "biu"), AXES, COMPUTED_AXES)
    return Image(
        raw.name, JoinedChannels((raw, seen)), AXES, COMPUTED_AXES, raw.drange, raw.pixel_size, raw.files
    )


@dataclass(frozen=True)
class PixelChain:
    """Pixel classifiers that follow each other: one, or the two stages of autocontext.

    Parameters
    ----------
    classifiers
        The first looks at raw data; another one at raw data and the probabilities of the one before.
    path
        The project that they come from.
    """

    classifiers: tuple[PixelClassifier, ...]
    path: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the last one."""
        return self.classifiers[-1].classes

    def probabilities(self, raw: Image, context: Context | None = None, mask: Image | None = None) -> Image:
        """The probabilities of raw data as a lazy image: axes of raw data with the channel last if they had none.

        Parameters
        ----------
        raw
            Raw data.
        context
            Memory and threads.
        mask
            Where it is 0, probabilities are 0.

        Raises
        ------
        ProjectError
            If raw data have other channels than those that were trained on.
        InputError
            If the mask has several channels.
        """
        context = context or Context()
        if mask is not None and mask.shape[4] > 1:
            message = f"mask {mask.name} has {mask.shape[4]} channels (axes {mask.axes}): expected one, 0 outside (is it in colours?)"
            raise InputError(message)
        stored: Any = PredictedPixels(
            self.classifiers[-1], stage_input(raw, self.classifiers[:-1], context), context
        )
        return _computed(raw, stored if mask is None else Masked(stored, mask), (0.0, 1.0))

    def features(self, raw: Image, context: Context | None = None) -> Image:
        """The feature channels that the last classifier looks at, as a lazy image likewise."""
        context = context or Context()
        image = stage_input(raw, self.classifiers[:-1], context)
        return _computed(raw, ComputedFeatures(self.classifiers[-1].features, image, context), raw.drange)


def kept(image: Image, context: Context) -> Image:
    """The same computed image, each of its time steps computed once while it is read."""
    assert isinstance(image.stored, InAxes)
    return replace(image, stored=InAxes(KeptTimeStep(image.stored.stored, context), image.axes))


def _computed(raw: Image, stored: Any, drange: tuple[float, float] | None) -> Image:
    axes = raw.axes if "c" in raw.axes else f"{raw.axes}c"
    return Image(raw.name, InAxes(stored, axes), axes, COMPUTED_AXES, drange, raw.pixel_size)
