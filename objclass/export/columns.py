"""The columns of a table: what decides them, what fills them, and the profile ``ilastik``."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import PIXELS, AnyArray, FeatureTable, Lane, PixelSize, Predictions
from objclass.features.contract import Feature, Key
from objclass.pipeline.lane import given_columns
from objclass.pipeline.plan import Plan

Columns = dict[str, NDArray[Any]]
"""Name of a column -> its values; all of one length."""

SPACED, PIXELS_ALWAYS = "regionprops", ("bbox", "num_pixels")
"""The set that is measured in the unit of the pixel size, but for some of its features."""

UNLABELLED = "0"
"""User label of an object that has none, as ilastik writes it."""


@dataclass(frozen=True)
class Layout:
    """All that decides the columns of a table; known before any pixel is read.

    Parameters
    ----------
    ndim, channels
        Dimensions of the images, channels of the raw data.
    features
        The features to show, in this order.
    classes
        Names of the classes; None if objects are not classified.
    metadata, given
        Names of the columns of metadata, and of those that are not measured.
    length
        Unit in which lengths are measured; ``""`` if unknown.
    size
        Pixel size in µm; None without physical columns.
    has_novelty
        Whether it is known how unlike the objects of the training each object is.
    """

    ndim: int
    channels: int
    features: tuple[Feature, ...]
    classes: tuple[str, ...] | None = None
    metadata: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    length: str = PIXELS.unit
    size: PixelSize | None = None
    has_novelty: bool = False


@dataclass(frozen=True)
class Rows:
    """The objects of a lane: what fills the columns.

    Parameters
    ----------
    table
        The measured objects.
    image
        The name of the lane in the table.
    metadata
        The texts of its columns of metadata, by name.
    predictions
        The predictions; None if objects are not classified.
    user_labels
        The class of each object that a user has labelled, 0 for none; None: there are no such labels.
    number
        The number of its first time step among all time steps of a run, from 1.
    """

    table: FeatureTable
    image: str
    metadata: tuple[tuple[str, str], ...] = ()
    predictions: Predictions | None = None
    user_labels: NDArray[Any] | None = None
    number: int = 1

    def repeated(self, text: str) -> NDArray[Any]:
        """The same text in all rows."""
        return np.full(len(self.table), text, dtype=object)

    @property
    def predicted(self) -> Predictions:
        """The predictions, of a lane that has them."""
        assert self.predictions is not None
        return self.predictions

    @property
    def labelled(self) -> NDArray[Any]:
        """The class of each object that a user has labelled, 0 for none."""
        return np.zeros(len(self.table), int) if self.user_labels is None else self.user_labels


@dataclass(frozen=True)
class Column:
    """A column: its name, how it is filled, and its description.

    Parameters
    ----------
    name
        Its name.
    of
        Function of the rows; returns an array of their number.
    definition, unit
        What its values are, and their unit; ``""`` for none.
    dims
        Dimensions of the images for which it is defined.
    source
        The feature that it comes from, ``set: feature``; ``""`` for none.
    alias
        Its name in scikit-image's ``regionprops_table``; ``""`` for none.
    """

    name: str
    of: Callable[[Rows], AnyArray]
    definition: str = ""
    unit: str = ""
    dims: tuple[int, ...] = (2, 3)
    source: str = ""
    alias: str = ""


def layout_of(lane: Lane, plan: Plan) -> Layout:
    """What decides the columns of the table of a lane."""
    return Layout(
        lane.objects.ndim,
        lane.channels,
        tuple(plan.shown),
        tuple(plan.project.classes) if plan.project is not None else None,
        tuple(name for name, _ in lane.metadata),
        tuple(given_columns(lane)),
        plan.measured_size(lane).unit,
        plan.physical_size(lane),
        plan.project is not None and plan.project.novelty is not None,
    )


def unit_of(feature: Feature, layout: Layout) -> str:
    """The unit of the numbers of a feature: numbers of pixels are in ``px``, in 3D in ``vox``.

    Only `SPACED` features are measured in another unit than pixels.
    """
    if layout.length == PIXELS.unit or feature.set_name != SPACED or feature.name in PIXELS_ALWAYS:
        return feature.unit.replace("pixels", "px" if layout.ndim == 2 else "vox")
    if not layout.length:
        return ""
    return feature.unit.replace("pixels", f"{layout.length}{layout.ndim}").replace("px", layout.length)


def filled(columns: Iterable[Column], rows: Rows) -> Columns:
    """The columns with their values."""
    return {column.name: column.of(rows) for column in columns}


def number_of(rows: Rows, key: Key, place: int) -> AnyArray:
    """One of the numbers of a feature, in all rows."""
    return rows.table.values[key][:, place]


def metadata_of(rows: Rows, name: str) -> AnyArray:
    """A column of metadata."""
    return rows.repeated(dict(rows.metadata)[name])


def given_of(rows: Rows, name: str) -> AnyArray:
    """A column that is not measured."""
    return rows.table.given[name]


def probability_of(rows: Rows, k: int) -> AnyArray:
    """The probability of the class number ``k``, from 0."""
    return rows.predicted.probabilities[:, k]


def novelty_of(rows: Rows) -> AnyArray:
    """How unlike the objects of the training each object is."""
    novelty = rows.predicted.novelty
    assert novelty is not None
    return novelty


def class_names(rows: Rows, classes: Sequence[str], none: str) -> AnyArray:
    """The names of the predicted classes."""
    return np.array([none, *classes], dtype=object)[rows.predicted.classes]


def user_labels(rows: Rows, classes: Sequence[str], none: str) -> AnyArray:
    """The names of the classes that a user has given, or ``none``."""
    return np.array([none, *classes], dtype=object)[rows.labelled]


def ilastik_columns(layout: Layout) -> list[Column]:
    """The profile ``ilastik``: ids, classes, probabilities, image, its metadata, default features, features."""
    columns = [
        Column("object_id", lambda rows: np.arange(len(rows.table))),
        Column("timestep", lambda rows: rows.table.timestep),
        Column("labelimage_oid", lambda rows: rows.table.label),
    ]
    if layout.classes is not None:
        columns += _ilastik_classes(layout.classes)
    if layout.has_novelty:
        columns.append(Column("Novelty", novelty_of))
    columns.append(Column("Image", lambda rows: rows.repeated(rows.image)))
    columns += [Column(name, partial(metadata_of, name=name)) for name in layout.metadata]
    columns += [Column(name, partial(given_of, name=name)) for name in layout.given]
    columns += [
        Column(
            name,
            partial(number_of, key=feature.key, place=place),
            " ".join(feature.definition.split()),
            unit_of(feature, layout),
            feature.dims,
            f"{feature.set_name}: {feature.name}",
        )
        for feature in layout.features
        for place, name in enumerate(feature.columns(layout.ndim, layout.channels))
    ]
    firsts: dict[str, Column] = {}  # a feature of two sets is one column
    for column in columns:
        firsts.setdefault(column.name, column)
    return list(firsts.values())


def _ilastik_classes(classes: Sequence[str]) -> list[Column]:
    columns = [
        Column("User Label", partial(user_labels, classes=classes, none=UNLABELLED)),
        Column("Predicted Class", partial(class_names, classes=classes, none=UNLABELLED)),
    ]
    for k, name in enumerate(classes):
        again = classes[:k].count(name)  # two classes of the same name are two columns
        numbered = f"{name} ({again + 1})" if again else name
        columns.append(Column(f"Probability of {numbered}", partial(probability_of, k=k)))
    return [*columns, Column("Uncertainty", lambda rows: rows.predicted.uncertainty)]
