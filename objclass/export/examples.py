"""Objects to look at: a few of each class, chosen by what is known of them, and cut out of the images.

Only the boxes around chosen objects are read. The choice depends on the objects alone: equal scores are put in an order
that looks random, so that examples come from all over the images.
"""

import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray, Image, IntArray, Lane
from objclass.export.colors import has_colors
from objclass.export.report import NOVEL, TYPICAL, UNCERTAIN, Example, as_text
from objclass.pipeline.crops import Crop, contrast_limits, plane_crops, window_of
from objclass.pipeline.lane import CENTER, Step

SIDE = 48
"""Pictures of at least twice as many pixels a side are made smaller."""

LEAST = {TYPICAL: -1, UNCERTAIN: 0, NOVEL: 1}
"""Kind of example -> the score that it is above."""


@dataclass(frozen=True)
class Measured:
    """What is known of the objects of a time step, one value for each.

    Parameters
    ----------
    group
        The place of its class.
    values
        Probability, uncertainty, novelty, as far as known.
    """

    group: IntArray
    values: Mapping[str, FloatArray]

    @property
    def scores(self) -> dict[str, FloatArray]:
        """Kind of example -> the score of each object."""
        known = {
            TYPICAL: self.values.get("probability", np.zeros(len(self.group))),
            UNCERTAIN: self.values.get("uncertainty"),
            NOVEL: self.values.get("novelty"),
        }
        return {kind: score for kind, score in known.items() if score is not None}


def measured(step: Step) -> Measured:
    """What is known of the objects of a time step."""
    predictions = step.predictions
    if predictions is None:
        return Measured(np.zeros(step.objects.count, int), {})
    values = {"probability": predictions.probabilities.max(axis=1), "uncertainty": predictions.uncertainty}
    if predictions.novelty is not None:
        values["novelty"] = predictions.novelty
    return Measured(predictions.classes.astype(int) - 1, values)


class Choice:
    """The best examples of a lane so far.

    Parameters
    ----------
    lane
        The lane.
    groups
        Number of classes.
    count
        Number of examples of each class and kind.
    """

    def __init__(self, lane: Lane, groups: int, count: int) -> None:
        self._lane, self._groups, self._count = lane, groups, count
        self._best: dict[tuple[int, str], list[Example]] = defaultdict(list)
        self._crops: dict[tuple[int, int], Crop] = {}

    def add(self, step: Step, found: Measured, context: Context) -> None:
        """Choose among the objects of one more time step, and cut them out."""
        order = scattered(self._lane.nickname, step.t, step.objects.count)
        for group in range(self._groups):
            rows = np.flatnonzero(found.group == group)
            for kind, scores in found.scores.items():
                here = rows[scores[rows] > LEAST[kind]]
                best = here[highest(scores[here], order[here], self._count)]
                kept = [
                    *self._best[group, kind],
                    *(_example(kind, group, row, step, found, scores, order) for row in best.tolist()),
                ]
                self._best[group, kind] = sorted(kept, key=lambda example: example.rank)[: self._count]
        self._cut(step, context)

    def _cut(self, step: Step, context: Context) -> None:
        """Cut out the chosen objects of a time step; those that are not chosen any more are let go."""
        chosen = {(example.frame, example.label) for best in self._best.values() for example in best}
        self._crops = {place: crop for place, crop in self._crops.items() if place in chosen}
        ids = sorted(label for t, label in chosen if t == step.t)
        if ids:
            crops = plane_crops(self._lane, step, ids, window_of(step), SIDE, context)
            self._crops |= {(step.t, label): crop for label, crop in zip(ids, crops, strict=True)}

    def examples(self) -> tuple[Example, ...]:
        """The examples, class by class; the contrast is the same in all of them."""
        raw = self._lane.raw
        pixels = in_8_bits({place: crop.raw for place, crop in self._crops.items()}, raw)
        is_color = raw is not None and has_colors(raw)
        pictures = {place: as_text(Crop(pixels[place], crop.mask)) for place, crop in self._crops.items()}
        return tuple(
            replace(example, picture=pictures[example.frame, example.label], is_color=is_color)
            for key in sorted(self._best)
            for example in self._best[key]
        )


def _example(
    kind: str, group: int, row: int, step: Step, found: Measured, scores: FloatArray, order: IntArray
) -> Example:
    """The example of an object, without its pixels."""
    values = {name: round(float(of[row]), 5) for name, of in found.values.items()}
    center = tuple(round(float(x), 1) for x in step.table.values[CENTER][row])
    score, place = round(float(scores[row]), 5), int(order[row])
    ids = step.objects.original
    original = int(ids[row]) if ids is not None else None
    return Example(kind, group, score, place, step.t, row + 1, center, values, original)


def highest(scores: FloatArray, order: IntArray, count: int) -> IntArray:
    """Indices of the highest scores, the highest first; of equal ones those of the lowest order.

    Examples
    --------
    >>> highest(np.array([0.5, 1, 1, 0.7, 1]), np.array([1, 9, 3, 4, 5]), 2)
    array([2, 4])
    """
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        first = np.argpartition(order[equal], count - len(above) - 1)[: count - len(above)]
        index = np.concatenate([above, equal[first]])
    else:
        index = np.arange(len(scores))
    return index[np.lexsort((order[index], -scores[index]))]


def scattered(name: str, t: int, count: int) -> IntArray:
    """Numbers of 32 bits that look random, for the objects of a time step: the same in each run (splitmix64)."""
    start = zlib.crc32(f"{name}/{t}".encode("utf-8", "surrogateescape"))
    state = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(start << 24)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return (state >> np.uint64(32)).astype(np.int64)


def in_8_bits(
    crops: Mapping[tuple[int, int], AnyArray], raw: Image | None
) -> dict[tuple[int, int], NDArray[np.uint8]]:
    """Crops (y, x, c) of an image with 8 bits: colours as they are, else each channel from dark to bright."""
    if raw is None or not crops or has_colors(raw):
        return {place: crop.astype(np.uint8) for place, crop in crops.items()}
    low, high = contrast_limits([*crops.values()])
    span = np.where(high > low, high - low, 1)
    return {place: _scaled(crop, low, span) for place, crop in crops.items()}


def _scaled(crop: AnyArray, low: FloatArray, span: FloatArray) -> NDArray[np.uint8]:
    pixels = np.nan_to_num(crop.astype(np.float64), posinf=0, neginf=0)
    return np.rint((pixels - low).clip(0, span) / span * 255).astype(np.uint8)
