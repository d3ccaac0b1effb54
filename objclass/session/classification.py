"""Labels of objects -> forest -> the classes of all objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import IntArray, Predictions, concatenate
from objclass.features.contract import Feature
from objclass.forest import fit
from objclass.novelty import Space, space_of
from objclass.project.model import Project, sorted_keys
from objclass.project.training_table import TrainingTable
from objclass.session.images import FoundObjects, MeasuredObjects
from objclass.session.labelling import Labelling
from objclass.training.judge import with_own_novelty
from objclass.training.learn import training_table
from objclass.training.new_project import new_project
from objclass.training.provenance import kept_choice_facts, training_facts
from objclass.training.suggest_objects import POOL, most_uncertain, unlike_each_other


@dataclass(frozen=True, eq=False)
class Classification:
    """The classes of all objects, as a forest predicts them that was trained on labels.

    Parameters
    ----------
    trained
        The project with its forest; its training images have absolute paths, or are inside of it.
    labelling
        The labels.
    predictions
        Key of an image -> predictions of its objects, in the order of their numbers; without their novelty.
    measured
        Key of an image -> its objects.
    made_of
        All that it depends on.
    """

    trained: Project
    labelling: Labelling
    predictions: Mapping[int, Predictions]
    measured: Mapping[int, MeasuredObjects]
    made_of: tuple[Any, ...]

    @cached_property
    def project(self) -> Project:
        """The project, to be saved or to be run: with its model of novelty, too, which a click does not wait for."""
        return with_own_novelty(self.trained, Context())

    @cached_property
    def space(self) -> Space | None:
        """The space of its model of novelty; None without labels."""
        table, forest = self.trained.training, self.trained.forest
        assert forest is not None
        return space_of(table.rows, forest.splits) if table is not None else None


def classified(
    objects: Sequence[MeasuredObjects],
    labelling: Labelling,
    features: Sequence[Feature],
    margin: tuple[int, ...],
    forest: tuple[int, int, str | None],
    before: Classification | None,
    context: Context,
    base: Project | None = None,
    *,
    is_as_stored: bool = False,
) -> Classification:
    """Train on the labels, and classify all objects, unless that has been done before.

    Parameters
    ----------
    objects
        Those of all images, measured.
    labelling
        Labels of two classes at least.
    features
        Those to learn from.
    margin
        Their neighbourhood.
    forest
        Number of trees, random state, weight of the classes.
    before
        The last classification.
    base
        The project that was opened.
    is_as_stored
        Whether labels and settings are those of that project: then its own forest classifies.
    """
    made_of = (tuple(objects), labelling, sorted_keys(features), margin, forest, is_as_stored)
    if before is not None and before.made_of == made_of:
        return before
    project = project_of(objects, labelling, features, margin, base)
    if is_as_stored and base is not None:
        project = _with_own_forest(project, objects, labelling, base)
    else:
        project = _trained(project, labelled_table(project, objects, labelling), forest, context)
    keys = [one.found.image.key for one in objects]
    predictions = [project.classify(one.table, context) for one in objects]
    return Classification(
        project,
        labelling,
        dict(zip(keys, predictions, strict=True)),
        dict(zip(keys, objects, strict=True)),
        made_of,
    )


def _trained(
    project: Project, table: TrainingTable, forest: tuple[int, int, str | None], context: Context
) -> Project:
    """The project with a forest that has learned from a table."""
    trees, seed, weight = forest
    grown, accuracy = fit(
        table.rows,
        table.classes,
        len(project.classes),
        trees,
        seed,
        balanced=weight == "balanced",
        context=context,
    )
    facts = {**project.facts, **training_facts(trees, seed, weight, accuracy)}
    return replace(project, forest=grown, training=table, facts=facts)


def _with_own_forest(
    project: Project, objects: Sequence[MeasuredObjects], labelling: Labelling, base: Project
) -> Project:
    """The project with the forest that it was opened with."""
    given = objects[0].found.image.lane
    base.check_columns(given.objects.ndim, given.channels, objects[0].found.image.name)
    has_labels = any(one.found.labels(labelling).classes for one in objects)
    table = labelled_table(project, objects, labelling) if has_labels else None
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
            tables.append(one.table.rows(numbers - 1))
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
