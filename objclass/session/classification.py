"""Labels of objects -> forest -> the classes of all objects."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import Image, IntArray, Predictions, concatenate
from objclass.features.contract import Feature
from objclass.forest import fit
from objclass.images import dataset_name
from objclass.images.paths import split_stack
from objclass.images.urls import is_url
from objclass.novelty import Space, space_of
from objclass.project.model import Project, TrainingInput, sorted_keys
from objclass.project.training_table import TrainingTable
from objclass.session.images import FoundObjects, MeasuredObjects, SessionImage
from objclass.session.labelling import Labelling
from objclass.training.judge import with_own_novelty
from objclass.training.learn import training_table
from objclass.training.new_project import new_project
from objclass.training.provenance import training_facts
from objclass.training.suggest_objects import POOL, most_uncertain, unlike_each_other


@dataclass(frozen=True)
class Basis:
    """What a classification follows from.

    Parameters
    ----------
    objects
        The objects of all images, measured.
    labelling
        Labels of two classes at least.
    features
        Those to learn from.
    margin
        Their neighbourhood along x, y(, z); empty if no feature needs one.
    trees, seed
        Number of trees and random state.
    """

    objects: tuple[MeasuredObjects, ...]
    labelling: Labelling
    features: tuple[Feature, ...]
    margin: tuple[int, ...]
    trees: int
    seed: int


@dataclass(frozen=True, eq=False)
class Classification:
    """The classes of all objects, as a forest predicts them that was trained on labels.

    Parameters
    ----------
    basis
        What it follows from.
    trained
        The project with its forest; its training images have absolute paths, or are inside of it.
    predictions
        Key of an image -> predictions of its objects, in the order of their numbers; without their novelty.
    """

    basis: Basis
    trained: Project
    predictions: Mapping[int, Predictions]

    @property
    def labelling(self) -> Labelling:
        """The labels."""
        return self.basis.labelling

    @cached_property
    def measured(self) -> Mapping[int, MeasuredObjects]:
        """Key of an image -> its objects."""
        return {one.found.image.key: one for one in self.basis.objects}

    @cached_property
    def project(self) -> Project:
        """The project, to be saved or to be run: with its model of novelty, too, which a click does not wait for."""
        return with_own_novelty(self.trained, Context())

    @cached_property
    def space(self) -> Space | None:
        """The space of its model of novelty."""
        table, forest = self.trained.training, self.trained.forest
        assert table is not None
        assert forest is not None
        return space_of(table.rows, forest.splits)


def classified(basis: Basis, context: Context) -> Classification:
    """Train on the labels, and classify all objects."""
    project = project_of(basis.objects, basis.labelling, basis.features, basis.margin)
    table = labelled_table(project, basis.objects, basis.labelling)
    classes, trees, seed = len(project.classes), basis.trees, basis.seed
    forest, accuracy = fit(table.rows, table.classes, classes, trees, seed, context=context)
    facts = training_facts(trees, seed, None, accuracy)
    project = replace(project, forest=forest, training=table, facts=facts)
    predictions = {one.found.image.key: project.classify(one.table, context) for one in basis.objects}
    return Classification(basis, project, predictions)


def project_of(
    objects: Sequence[MeasuredObjects],
    labelling: Labelling,
    features: Sequence[Feature],
    margin: tuple[int, ...],
) -> Project:
    """The project of images, labels and features, without a forest."""
    first = objects[0].found
    names = tuple(one.name for one in labelling.classes)
    return replace(
        new_project(first.image.lane.role, names, sorted_keys(features), margin),
        threshold=first.threshold,
        colors=tuple(one.color for one in labelling.classes),
        labels={n: _label_arrays(one.found, labelling) for n, one in enumerate(objects)},
        lanes=tuple(training_inputs(one.found.image) for one in objects),
    )


def _label_arrays(found: FoundObjects, labelling: Labelling) -> dict[int, NDArray[Any]]:
    """Time step -> class of each object by id, 0 for none; as long as its largest labelled id needs, two at least."""
    classes = found.labels(labelling).classes
    steps: dict[int, dict[int, int]] = {t: {} for t in range(len(found.numbers))}
    for number, given in classes.items():
        t, label = found.place(number)
        steps[t][label] = given
    arrays = {}
    for t, labels in steps.items():
        arrays[t] = np.zeros(max([1, *labels]) + 1)
        arrays[t][list(labels)] = list(labels.values())
    return arrays


def labelled_table(
    project: Project, objects: Sequence[MeasuredObjects], labelling: Labelling
) -> TrainingTable:
    """The labelled objects of all images, as the forest sees them."""
    tables, classes, lanes = [], [], []
    for place, one in enumerate(objects):
        labels = one.found.labels(labelling).classes
        numbers: IntArray = np.array(sorted(labels), int)
        if len(numbers):
            tables.append(one.table.rows(numbers - 1))
            classes += [labels[number] for number in numbers.tolist()]
            lanes += [place] * len(numbers)
    return training_table(project, concatenate(tables), np.array(classes, int), np.array(lanes, int))


def training_inputs(image: SessionImage) -> dict[str, TrainingInput]:
    """The images of a lane as a project names them: files by absolute paths, arrays by their place inside of it."""
    lane = image.lane
    given = {"raw_data": lane.raw, lane.role: lane.objects}
    names = Counter(role for role, one in given.items() if one is not None)
    return {role: _training_input(one, f"{role}_{image.key}") for role in names if (one := given[role])}


def _training_input(image: Image, name: str) -> TrainingInput:
    shape = image.stored.shape
    if not image.files:
        inside = f"Input Data/local_data/{name}"
        return TrainingInput(inside, image.axes, shape, image.name or name, inside)
    pieces = split_stack(image.name)
    path = os.pathsep.join(piece if is_url(piece) else os.path.abspath(piece) for piece in pieces)
    return TrainingInput(path, image.axes, shape, dataset_name(path)[0])


def uncertain_objects(
    last: Classification | None, found: Mapping[int, FoundObjects], labelling: Labelling, count: int
) -> list[tuple[int, int]]:
    """The objects to label next, by the key of their image and their number.

    Parameters
    ----------
    last
        The last classification.
    found
        Key of an image -> its present objects.
    labelling
        The present labels: objects that have one are left out.
    count
        Maximum number of objects.
    """
    if last is None:
        return []
    size, objects, uncertainty, rows = POOL * count, [], [], []
    for key, one in last.measured.items():
        if found.get(key) is not one.found:
            continue
        own = last.predictions[key].uncertainty
        wanted = np.ones(len(own), bool)
        wanted[[number - 1 for number in one.found.labels(labelling).classes]] = False
        chosen = most_uncertain(own, wanted, size)
        objects += [(key, k + 1) for k in chosen.tolist()]
        uncertainty.append(own[chosen])
        rows.append(last.trained.matrix(one.table.rows(chosen)))
    if not objects:
        return []
    own = np.concatenate(uncertainty)
    pool = most_uncertain(own, np.ones(len(own), bool), size)
    places = unlike_each_other(np.concatenate(rows)[pool], own[pool], last.space, count)
    return [objects[pool[place]] for place in places]
