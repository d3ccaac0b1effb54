"""The columns of the table: profiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import FeatureTable, Lane, Predictions
from objclass.features.contract import Feature

Columns = dict[str, NDArray[Any]]
"""Name of a column -> its values; all of one length."""

UNLABELLED = "0"
"""User label of an object that has none, as ilastik writes it."""


def ilastik_columns(
    table: FeatureTable,
    features: Sequence[Feature],
    lane: Lane,
    image: str,
    classes: Sequence[str] = (),
    predictions: Predictions | None = None,
    user_labels: NDArray[Any] | None = None,
) -> Columns:
    """The profile ``ilastik``: ids, classes, probabilities, image, its metadata, default features, features.

    Parameters
    ----------
    table
        Measured objects; ``features`` says which of its values to show, in this order.
    lane, image
        The lane of the objects, and its name in the table.
    classes, predictions, user_labels
        Names of the classes, the predictions, and the class of each object that a user has labelled (0: none).
    """
    count = len(table)
    columns: Columns = {
        "object_id": np.arange(count),
        "timestep": table.timestep,
        "labelimage_oid": table.label,
    }
    if predictions is not None:
        names = np.array([UNLABELLED, *classes], dtype=object)
        given = np.zeros(count, int) if user_labels is None else user_labels
        columns["User Label"] = names[given]
        columns["Predicted Class"] = names[predictions.classes]
        for k, name in enumerate(classes):
            again = classes[:k].count(name)  # two classes of the same name are two columns
            numbered = f"{name} ({again + 1})" if again else name
            columns[f"Probability of {numbered}"] = predictions.probabilities[:, k]
        columns["Uncertainty"] = predictions.uncertainty
    columns["Image"] = np.full(count, image, dtype=object)
    columns |= {name: np.full(count, text, dtype=object) for name, text in lane.metadata}
    columns |= table.given
    for feature in features:
        values = table.values[feature.key]
        for k, name in enumerate(feature.columns(lane.objects.ndim, lane.channels)):
            columns.setdefault(name, values[:, k])
    return columns


def column_units(features: Sequence[Feature], lane: Lane, length: str) -> dict[str, str]:
    """The units of the columns of features that have one; ``length`` is that of lengths, ``""`` if unknown."""
    units = {
        name: feature.unit.replace("px", length) if length else ""
        for feature in features
        if feature.unit
        for name in feature.columns(lane.objects.ndim, lane.channels)
    }
    return {name: unit for name, unit in units.items() if unit}
