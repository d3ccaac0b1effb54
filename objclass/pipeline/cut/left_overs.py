"""The one feature that looks at the object before: the centre of defects, of objects that fill their boxes.

Such objects take it over from the object with the previous id (`objclass.features.sets.ilastik_hull.defect_center`).
The first ones of a part take it over from another part, when that is measured.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from objclass.compute.context import Context
from objclass.core import FeatureTable, FloatArray, Predictions, joined
from objclass.features.contract import Feature, Key
from objclass.features.sets.ilastik_hull import LEFT_OVERS, defect_center
from objclass.pipeline.plan import Plan


@dataclass(frozen=True)
class Measured:
    """Objects of a part that are measured.

    Parameters
    ----------
    table, predictions
        What is known of them.
    low
        Lower corners x, y(, z) of the first ones, which fill their boxes (k, d).
    center
        What the first ones of the next part take over: relative to the lower corner (d,). None: what those take over
        that follow another part.
    """

    table: FeatureTable
    predictions: Predictions | None
    low: FloatArray
    center: FloatArray | None


def keys_of(plan: Plan) -> list[Key]:
    """The features that take over."""
    return [feature.key for feature in plan.features if feature.compute is defect_center]


def needed(plan: Plan) -> tuple[Feature, ...]:
    """What has to be measured besides the features of a plan."""
    return (LEFT_OVERS,) if keys_of(plan) else ()


def split(table: FeatureTable) -> tuple[FeatureTable, FloatArray, FloatArray | None]:
    """The table without what is `needed`; ``low`` and ``center`` of `Measured`."""
    values = dict(table.values)
    known = values.pop(LEFT_OVERS.key, np.zeros((0, 1)))
    d = known.shape[1] // 2
    count, center, low = known[:, 0], known[:, 1 : 1 + d], known[:, 1 + d :]
    own = np.flatnonzero(count > 0)
    first = own[0] if len(own) else len(count)
    return replace(table, values=values), low[:first], center[own[-1]] if len(own) else None


def completed(
    parts: Iterable[Measured], plan: Plan, context: Context
) -> Iterator[tuple[FeatureTable, Predictions | None]]:
    """Tables and predictions of the parts, whose first objects take over what they need from earlier parts."""
    keys, center = keys_of(plan), None
    for part in parts:
        table, predictions = part.table, part.predictions
        if center is not None and len(part.low):
            first = len(part.low)
            taken = (part.low + center).astype(np.float32)
            values = {
                key: np.concatenate([taken, numbers[first:]]) if key in keys else numbers
                for key, numbers in table.values.items()
            }
            table = replace(table, values=values)
            if predictions is not None and plan.project is not None:
                anew = plan.project.classify(table.rows(np.arange(first)), context)
                predictions = joined([anew, rows(predictions, first)])
        center = part.center if part.center is not None else center
        yield table, predictions


def rows(predictions: Predictions, first: int) -> Predictions:
    """Predictions of the objects from ``first`` on."""
    novelty = predictions.novelty
    return Predictions(predictions.probabilities[first:], None if novelty is None else novelty[first:])
