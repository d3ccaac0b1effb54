"""Labels of objects -> forest -> the classes of all objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import IntArray, Predictions, concatenate
from objclass.features.contract import Feature
from objclass.forest import fit
from objclass.novelty import Space, space_of
from objclass.pipeline.lane import CENTER
from objclass.project.model import Project, sorted_keys
from objclass.project.training_table import TrainingTable
from objclass.session.images import FoundObjects, MeasuredObjects
from objclass.session.labelling import LabelClass, Labelling, Mark
from objclass.training.judge import with_own_novelty
from objclass.training.learn import training_table
from objclass.training.new_project import new_project
from objclass.training.provenance import kept_choice_facts, training_facts
from objclass.training.suggest_objects import POOL, most_uncertain, unlike_each_other

CLICKS = 1000
"""So often are objects classified in a session, about: compiled code repays for all of them together."""


@dataclass(frozen=True)
class Basis:
    """What a classification follows from.

    Parameters
    ----------
    objects
        The objects of all images, measured.
    labelling
        Labels of two classes at least, unless the project that was opened classifies. Names and colours of classes change
        nothing; their number does.
    features
        Those to learn from.
    margin
        Their neighbourhood along x, y(, z); empty if no feature needs one.
    trees, seed
        Number of trees and random state.
    class_weight
        Weight of the classes, as in `SessionSettings`.
    base
        The project that was opened.
    is_as_opened
        Whether labels and settings are those of that project: then its own forest classifies.
    """

    objects: tuple[MeasuredObjects, ...]
    labelling: Labelling = field(compare=False)
    features: tuple[Feature, ...]
    margin: tuple[int, ...]
    trees: int
    seed: int
    class_weight: str | None = None
    base: Project | None = field(default=None, compare=False)
    is_as_opened: bool = False
    _compared: tuple[tuple[Mark, ...], int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_compared", (self.labelling.marks, len(self.labelling.classes)))


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
    def novelty(self) -> Mapping[int, NDArray[np.float32]]:
        """Key of an image -> novelty of its objects, in the order of their numbers; empty if it cannot be known."""
        if self.trained.training is None:
            return {}
        model, context = self.project.novelty, Context(Limits(images=CLICKS))
        if model is None:
            return {}
        return {
            key: model.score(self.trained.matrix(one.table), context) for key, one in self.measured.items()
        }

    @property
    def known_novelty(self) -> Mapping[int, NDArray[np.float32]]:
        """The novelty, if it was computed already; else nothing: windows do not wait for it."""
        return self.novelty if "novelty" in vars(self) else {}

    def with_classes(self, classes: tuple[LabelClass, ...]) -> "Classification":
        """With other names and colours of the classes; the same if these are its own."""
        if classes == self.labelling.classes:
            return self
        basis = replace(self.basis, labelling=replace(self.labelling, classes=classes))
        names, training = tuple(one.name for one in classes), self.trained.training
        trained = replace(
            self.trained,
            classes=names,
            colors=tuple(one.color for one in classes),
            training=replace(training, names=names) if training is not None else None,
        )
        renamed = Classification(basis, trained, self.predictions)
        vars(renamed).update({name: value for name, value in vars(self).items() if name == "novelty"})
        return renamed

    @cached_property
    def space(self) -> Space | None:
        """The space of its model of novelty; None without labels."""
        table, forest = self.trained.training, self.trained.forest
        assert forest is not None
        return space_of(table.rows, forest.splits) if table is not None else None


def classified(basis: Basis, context: Context) -> Classification:
    """Classify all objects: by a forest that learns from the labels, or by that of the project that was opened."""
    project = project_of(basis.objects, basis.labelling, basis.features, basis.margin, basis.base)
    if basis.is_as_opened and basis.base is not None:
        project = _with_own_forest(project, basis, basis.base)
    else:
        project = _trained(project, basis, context)
    predictions = {one.found.image.key: project.classify(one.table, context) for one in basis.objects}
    return Classification(basis, project, predictions)


def _trained(project: Project, basis: Basis, context: Context) -> Project:
    """The project with a forest that has learned from the labels."""
    table = labelled_table(project, basis.objects, basis.labelling)
    forest, accuracy = fit(
        table.rows,
        table.classes,
        len(project.classes),
        basis.trees,
        basis.seed,
        balanced=basis.class_weight == "balanced",
        context=context,
    )
    facts = training_facts(basis.trees, basis.seed, basis.class_weight, accuracy)
    return replace(project, forest=forest, training=table, facts={**project.facts, **facts})


def _with_own_forest(project: Project, basis: Basis, base: Project) -> Project:
    """The project with the forest that it was opened with."""
    first = basis.objects[0].found.image
    base.check_columns(first.lane.objects.ndim, first.lane.channels, first.name)
    has_labels = any(one.found.labels(basis.labelling).classes for one in basis.objects)
    table = labelled_table(project, basis.objects, basis.labelling) if has_labels else None
    return replace(project, forest=base.forest, training=table, facts=base.facts, novelty=base.novelty)


def project_of(
    objects: Sequence[MeasuredObjects],
    labelling: Labelling,
    features: Sequence[Feature],
    margin: tuple[int, ...],
    base: Project | None = None,
) -> Project:
    """The project of images, labels and features, without a forest; the rest of it is that of a base."""
    first = objects[0].found
    names = tuple(one.name for one in labelling.classes)
    new = new_project(first.image.lane.role, names, sorted_keys(features), margin)
    return replace(
        new if base is None else _based(base, new),
        classes=names,
        threshold=first.threshold,
        colors=tuple(one.color for one in labelling.classes),
        labels={n: _label_arrays(one.found, labelling) for n, one in enumerate(objects)},
        lanes=tuple(one.found.image.inputs for one in objects),
        images={name: one for each in objects for name, one in each.found.image.inside.items()},
    )


def _based(base: Project, new: Project) -> Project:
    """A project without forest and facts, with the features of a new one where they are others."""
    kept = replace(base, path="", forest=None, training=None, novelty=None, facts={})
    if (base.selected, base.margin) == (new.selected, new.margin or base.margin):
        return replace(kept, facts=kept_choice_facts(base.facts))
    table = replace(base.table, features=new.table.features) if base.table and new.table else new.table
    return replace(kept, computed=new.computed, selected=new.selected, margin=new.margin, table=table)


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
            table = one.table.rows(numbers - 1)
            used = (*project.selected, CENTER)  # of other images, others may be known, too
            tables.append(replace(table, values={key: table.values[key] for key in used}))
            classes += [labels[number] for number in numbers.tolist()]
            lanes += [place] * len(numbers)
    return training_table(project, concatenate(tables), np.array(classes, int), np.array(lanes, int))


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
