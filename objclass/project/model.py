"""The project: everything that was decided at training time, independent of the file format."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import FeatureTable, Image, Predictions
from objclass.door import door
from objclass.errors import ProjectError, UsageError, listed
from objclass.features.contract import Feature, Key, feature_set
from objclass.forest import Forest
from objclass.novelty import NoveltyModel
from objclass.pixels.chain import PixelChain
from objclass.project.training_table import TrainingTable
from objclass.registry import PROJECT_WRITERS, resolve
from objclass.settings import ExportSettings, ProjectThreshold

WORKFLOWS = {
    "Object Classification (from binary image)": "segmentation_image",
    "Object Classification (from prediction image)": "prediction_maps",
    "Object Classification (from label image)": "label_image",
    "Object Classification (from pixel classification)": "prediction_maps",
}
"""Name of a workflow -> the role of its second input; where pixels are classified as well, that is computed."""

PIXEL_AND_OBJECT = "Object Classification (from pixel classification)"
"""Name of the workflow that classifies pixels and objects."""

ROLE_NAMES = {
    "raw_data": "Raw Data",
    "segmentation_image": "Segmentation Image",
    "prediction_maps": "Prediction Maps",
    "label_image": "Label Image",
    "atlas": "Atlas",
    "prediction_mask": "Prediction Mask",
}

COORD_MAXIMUM = ("Standard Object Features", "Coord<Maximum>")

MAXIMUM_CLASSES = 255
"""Class images have 8 bits."""

MAXIMUM_SIZE = 2**31 - 1
"""Maximum size of objects in pixels: the field in ilastik's window has 32 bits."""

MISSING_VALUE = 0.0
"""Value for the forest in place of a feature that is not finite."""

COLORS = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (255, 225, 25), (245, 130, 48), (145, 30, 180),
    (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (220, 190, 255),
    (170, 110, 40), (255, 250, 200), (128, 0, 0), (170, 255, 195),
)  # fmt: skip
"""Colours of the classes: Trubetskoy's list of distinct colours."""

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""


def class_colors(stored: Sequence[Color], count: int) -> tuple[Color, ...]:
    """Colours of so many classes: those that are stored, and our own for the others."""
    return tuple(stored[k] if k < len(stored) else COLORS[k % len(COLORS)] for k in range(count))


@dataclass(frozen=True)
class TrainingInput:
    """One image that the project was trained on."""

    path: str
    axes: str
    shape: tuple[int, ...] = ()
    nickname: str = ""
    inside: str = ""
    """Name of the dataset, if the image is stored in the project itself."""


def last_axes(lanes: Sequence[Mapping[str, TrainingInput]], role: str) -> str | None:
    """Axes of a role in the last of the training lanes; None where they are not known."""
    if not lanes or role not in lanes[-1]:
        return None
    return lanes[-1][role].axes or None


@dataclass(frozen=True)
class TableSettings:
    """The table that was set up in ilastik: its type, path template and features."""

    file_type: str
    path: str
    features: tuple[str, ...]
    margin: int = 0
    """Pixels around the pictures of objects, in HDF5."""


@dataclass(frozen=True)
class Project:
    """A trained project: classes, features, forest, thresholds, labels and training images.

    Parameters
    ----------
    path
        The file that it was read from.
    workflow, version
        Name of the workflow; version of the program that wrote it.
    role
        Role of the second input: ``segmentation_image``, ``prediction_maps`` or ``label_image``.
    classes, colors
        Names of the classes, in order; (r, g, b) of each, as far as stored.
    computed
        Keys of the features that ilastik computed, in order of the table.
    selected
        Keys of the features that the forest uses, in the order of its columns.
    margin
        Neighbourhood along x, y(, z) in pixels; empty if no feature needs one.
    forest
        The forest; None if the project was saved without one.
    threshold
        Settings of thresholding for prediction maps.
    labels
        Class of each annotated object: lane -> time step -> array indexed by object id.
    export, table
        Stored settings of result images and table.
    lanes
        The training images: for each lane, role -> input.
    pixels
        Makes the prediction maps from raw data, in projects that classify pixels and objects.
    training
        The labelled objects that the forest was trained on, if objclass has trained it. Its images are the lanes, in
        their order.
    facts
        How the project came about, if objclass has made it; values of JSON: ``version`` of objclass, ``trees``,
        ``seed``, ``class_weight``, ``inputs`` (digests of the images that were labelled), ``evaluation``.
    novelty
        What objects are compared with, to see how unlike those of the training they are; None: they are not.
    images
        Name of a dataset inside of the project -> the image to be stored there. Those that ``path`` holds already
        are not among them.
    """

    path: str
    workflow: str
    version: str
    role: str
    classes: tuple[str, ...]
    computed: tuple[Key, ...]
    selected: tuple[Key, ...]
    margin: tuple[int, ...] = ()
    forest: Forest | None = field(default=None, repr=False)
    threshold: ProjectThreshold = field(default_factory=ProjectThreshold)
    colors: tuple[tuple[int, int, int], ...] = ()
    labels: Mapping[int, Mapping[int, NDArray[Any]]] = field(default_factory=dict, repr=False)
    export: ExportSettings = field(default_factory=ExportSettings)
    table: TableSettings | None = None
    lanes: tuple[Mapping[str, TrainingInput], ...] = ()
    pixels: PixelChain | None = field(default=None, repr=False)
    training: TrainingTable | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    novelty: NoveltyModel | None = field(default=None, repr=False)
    images: Mapping[str, Image] = field(default_factory=dict, repr=False)

    @door()
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the project into a file that ilastik opens, too.

        Parameters
        ----------
        path
            With the suffix ``.ilp``. Paths of training images are kept as they are, relative to it; images inside of the
            project are stored there, too.
        overwrite
            Whether an existing file may be replaced.

        Raises
        ------
        UsageError
            If the suffix is another.
        OutputError
            If the file exists and may not be replaced, or cannot be written.
        """
        save(self, path, overwrite=overwrite)

    def training_axes(self, role: str) -> str | None:
        """Axes of a role in the last lane that the project was trained on."""
        return last_axes(self.lanes, role)

    def features(self) -> list[Feature]:
        """All features to measure: those of the forest, then further ones that the table shows.

        Raises
        ------
        ProjectError
            If the forest needs features that objclass does not have; the message lists them.
        """
        missing = [f"{s}: {name}" for s, name in self.selected if find(s, name) is None]
        if missing:
            message = f"{self.path} selects features that objclass does not have: {listed(missing)}"
            raise ProjectError(" ".join(message.splitlines()))
        wanted = dict.fromkeys([*self.selected, *self.shown()])
        found = {key: find(*key) for key in wanted}
        return [feature for feature in found.values() if feature is not None]

    def shown(self) -> list[Key]:
        """Keys of the features that the table shows.

        Those listed in the stored settings of the table, else all that were computed and are not of
        the kind "in object and neighborhood"; always those of the forest.
        """
        keys = list(self.computed)
        if self.table:
            listed = set(self.table.features)
            keys = [key for key in keys if listed & {key[1], getattr(find(*key), "title", key[1])}]
        keys = [key for key in keys if not key[1].endswith("in object and neighborhood")]
        return sorted({*keys, *self.selected})

    @property
    def inclusive_maximum(self) -> bool:
        """Whether the forest has learned ``Coord<Maximum>`` as the last coordinate, not the one after it.

        ilastik changed it in October 2019, between 1.3.3post2 and 1.3.3post3.
        """
        found = re.match(r"(\d+)\.(\d+)\.?(\d*)(?:post(\d+))?", self.version)
        if found is None or COORD_MAXIMUM not in self.selected:
            return False
        return tuple(int(part or 0) for part in found.groups()) < (1, 3, 3, 3)

    def matrix(self, table: FeatureTable) -> NDArray[np.float32]:
        """Rows for the forest: columns of the selected features, with 0 for values that are not finite."""
        columns = [table.values[key].astype(np.float32) for key in self.selected]
        if self.inclusive_maximum:
            columns[self.selected.index(COORD_MAXIMUM)] -= np.float32(1)
        rows = np.concatenate([np.zeros((len(table), 0), np.float32), *columns], axis=1)
        return np.where(np.isfinite(rows), rows, np.float32(MISSING_VALUE))

    def classify(self, table: FeatureTable, context: Context | None = None) -> Predictions:
        """Class probabilities of all objects of the table, and their novelty if the project knows it.

        Raises
        ------
        ProjectError
            If the project has no forest, or the table another number of columns.
        """
        rows = self.matrix(table)
        found = self.check_trained().predict(rows, context).probabilities
        absent = len(self.classes) - found.shape[1]
        novelty = self.novelty.score(rows, context) if self.novelty is not None else None
        return Predictions(np.pad(found, ((0, 0), (0, max(absent, 0)))), novelty)

    @property
    def classifies_pixels(self) -> bool:
        """Whether it classifies pixels, too, so that it takes raw data alone."""
        return self.workflow == PIXEL_AND_OBJECT

    @property
    def is_trained(self) -> bool:
        """Whether it has the classifiers that it needs."""
        return self.forest is not None and (self.pixels is not None or not self.classifies_pixels)

    def check_trained(self) -> Forest:
        """The forest.

        Raises
        ------
        ProjectError
            If there is none.
        """
        if self.forest is None:
            message = (
                f"{self.path} has no trained classifier: open it in ilastik, turn on Live Update and save it"
            )
            raise ProjectError(message)
        return self.forest

    def check_columns(self, ndim: int, channels: int, given: str) -> None:
        """Refuse images whose features are not those that the forest was trained on.

        Parameters
        ----------
        ndim, channels
            Dimensions of the image (2 or 3), and channels of the raw data.
        given
            Description of the image, for the message.

        Raises
        ------
        ProjectError
            If they differ; the message describes both.
        """
        forest = self.check_trained()
        needed = [feature for feature in self.features() if feature.key in self.selected]
        unfit = [feature.name for feature in needed if not feature.fits(ndim, channels)]
        width = sum(int(np.prod(f.extents(ndim, channels), dtype=int)) for f in needed)
        if not unfit and width == forest.columns:
            return
        why = f"{width} feature columns, {forest.columns} expected"
        if unfit:
            why = f"not defined for it: {listed(unfit)}"
        message = (
            f"{given} is {ndim}D with {channels} channels: {why}; {self.path} was trained on "
            f"{self._trained_on()} (wrong --input_axes?)"
        )
        raise ProjectError(message)

    def check_trained_lanes(self) -> None:
        """Refuse a forest that does not fit the features of the images that it was trained on: it is stale.

        Raises
        ------
        ProjectError
            If it does not fit.
        """
        raws = [lane["raw_data"] for lane in self.lanes if "raw_data" in lane and lane["raw_data"].shape]
        for raw in raws[-1:]:
            if len(raw.shape) == len(raw.axes):
                lengths = dict(zip(raw.axes, raw.shape, strict=True))
                ndim = 3 if lengths.get("z", 1) > 1 else 2
                self.check_columns(ndim, lengths.get("c", 1), f"{_first_path(raw.path)}, its training image,")

    def _trained_on(self) -> str:
        raws = [lane["raw_data"] for lane in self.lanes if "raw_data" in lane]
        described = [f"{_first_path(raw.path)} {raw.shape or ''} with axes {raw.axes}" for raw in raws]
        return listed(described, 1) if described else "images that it does not name"


def save(project: object, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Write a project of any kind, as its method of this name says."""
    resolve(writer_for(os.fspath(path)))(os.fspath(path), project, overwrite=overwrite)


def writer_for(path: str) -> str:
    """What writes projects into files of a name.

    Raises
    ------
    UsageError
        If its suffix is not one of projects.
    """
    writer = PROJECT_WRITERS.get(Path(path).suffix.lower())
    if writer is None:
        message = f"project {path}: expected a name that ends in {' or '.join(PROJECT_WRITERS)}"
        raise UsageError(message)
    return writer


def _first_path(path: str) -> str:
    """The path of an image, of many files the first."""
    first, *more = path.split(os.pathsep)
    return f"{first} (and {len(more)} more files)" if more else first


def find(set_name: str, name: str) -> Feature | None:
    """A feature by key, None if there is none."""
    found = feature_set(set_name)
    return found.get(name) if found is not None else None


def sorted_keys(features: Sequence[Feature]) -> tuple[Key, ...]:
    """Keys in the order of a forest's columns: by set, then by name (plain code points)."""
    return tuple(sorted(feature.key for feature in features))
