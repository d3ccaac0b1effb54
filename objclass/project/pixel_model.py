"""A pixel classification project: everything that was decided at training time."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from objclass.core import Image, Region
from objclass.door import door
from objclass.errors import ProjectError
from objclass.pixels.chain import PixelChain
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.features import PixelFeatures
from objclass.project.model import TrainingInput, last_axes, save
from objclass.settings import ExportSettings

PIXEL_WORKFLOWS = {"Pixel Classification": 1, "Autocontext (2-stage)": 2}
"""Name of a workflow -> number of its stages."""


@dataclass(frozen=True)
class Strokes:
    """Painted labels of a part of an image.

    Parameters
    ----------
    region
        The part: slices along t, z, y, x, c of the image.
    labels
        uint8, axes t, z, y, x, c: 0 is unlabelled, classes count from 1.
    """

    region: Region
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class PixelStage:
    """One stage of a pixel classification.

    Parameters
    ----------
    features
        The channels that it looks at.
    classes, colors
        Names of the classes; red, green, blue of each, as far as stored.
    classifier
        None if the project was saved without one.
    strokes
        Painted labels, for each lane.
    """

    features: PixelFeatures
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...] = ()
    classifier: PixelClassifier | None = field(default=None, repr=False)
    strokes: Mapping[int, Sequence[Strokes]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PixelProject:
    """What a trained pixel classification project says.

    Parameters
    ----------
    path
        Where it was read; empty for a project that was trained in memory.
    workflow, version
        Name of the workflow; version of the program that wrote it.
    stages
        One, or the two of autocontext: the second looks at the raw channels and the probabilities of the first.
    export
        Stored settings of the result images.
    lanes
        What it was trained on: for each lane, role -> input.
    images
        Name of a dataset inside of the project -> the image to be stored there. Those that ``path`` holds already
        are not among them.
    """

    path: str
    workflow: str
    version: str
    stages: tuple[PixelStage, ...]
    export: ExportSettings = field(default_factory=ExportSettings)
    lanes: tuple[Mapping[str, TrainingInput], ...] = ()
    images: Mapping[str, Image] = field(default_factory=dict, repr=False)

    @door()
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the project into a file that ilastik opens, too.

        Parameters
        ----------
        path
            With the suffix ``.ilp``. Images that were given as files are named there relative to it; arrays are stored
            inside.
        overwrite
            Whether an existing file may be replaced.

        Raises
        ------
        UsageError
            If the suffix is another.
        OutputError
            If the file exists and may not be replaced, or cannot be written.
        ProjectError
            If the project is of autocontext.
        """
        save(self, path, overwrite=overwrite)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the last stage, which are those of the results."""
        return self.stages[-1].classes

    def training_axes(self, role: str) -> str | None:
        """Axes of a role in the last lane that the project was trained on."""
        return last_axes(self.lanes, role)

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """Red, green, blue of the classes of the last stage."""
        return self.stages[-1].colors

    @property
    def is_trained(self) -> bool:
        """Whether every stage has a classifier."""
        return all(stage.classifier is not None for stage in self.stages)

    @property
    def pixels(self) -> PixelChain | None:
        """The classifiers of the stages, None if one is missing."""
        return PixelChain(self.classifiers(), self.path) if self.is_trained else None

    def classifiers(self) -> tuple[PixelClassifier, ...]:
        """The classifier of each stage.

        Raises
        ------
        ProjectError
            If one is missing.
        """
        found = tuple(stage.classifier for stage in self.stages if stage.classifier is not None)
        if len(found) < len(self.stages):
            message = f"{self.path} holds no trained pixel classifier: open it in ilastik, turn on Live Update and save it"
            raise ProjectError(message)
        return found
