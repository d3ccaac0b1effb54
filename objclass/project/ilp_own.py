"""What objclass itself stores in a project: the group ``objclass`` at its root, which ilastik does not look at.

``facts`` is a JSON object. ``training`` holds the `TrainingTable`, an array or a JSON list for each of its fields, and the
probabilities that the forest gave for its rows; ``novelty`` holds the `NoveltyModel`. Texts are JSON in ASCII, of fixed
length. Of a group that is damaged, or that no longer fits the project, nothing is used, and a warning says why.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.errors import InputError, ProjectError
from objclass.features.contract import Key
from objclass.novelty import MAXIMUM_REFERENCES, NoveltyModel
from objclass.project.ilp_values import (
    DAMAGE,
    MAXIMUM_BYTES,
    check_size,
    reason,
    stored_group,
    stored_number,
    stored_value,
)
from objclass.project.model import Project
from objclass.project.training_table import TrainingTable

log = logging.getLogger("objclass")

GROUP = "objclass"
LAYOUT = 1
"""Number of this layout; higher ones are of later versions of objclass."""

MAXIMUM_TEXT_BYTES = 1 << 24
"""Maximum bytes of a JSON text."""

INTEGERS = ("classes", "image", "timestep", "label")
"""Fields of the training table that are whole numbers."""

TEXTS = ("names", "images", "columns", "sets", "group")
"""Fields of the training table that are lists of texts."""

Labels = Mapping[int, Mapping[int, NDArray[Any]]]
"""Lane -> time step -> class of each object by id, 0 for none."""


@dataclass(frozen=True)
class Own:
    """What objclass stored in a project.

    Parameters
    ----------
    training
        The labelled objects that the forest was trained on; None if they are not known.
    features
        Keys of the features whose columns the table has.
    probabilities
        Those that the forest gave for its rows when it was trained (n, classes), float32; None if they are not known.
    facts
        How the project came about: values of JSON.
    novelty
        What the objects of a run are compared with; None if it is not known.
    """

    training: TrainingTable | None = None
    features: tuple[Key, ...] = ()
    probabilities: NDArray[np.float32] | None = field(default=None, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)
    novelty: NoveltyModel | None = None


# ---------------------------------------------------------------------------- writing


def write_own(file: h5py.File, project: Project) -> None:
    """Write the group in place of that in the file; none if nothing is known."""
    if GROUP in file:
        del file[GROUP]
    if project.training is None and project.novelty is None and not project.facts:
        return
    group = file.create_group(GROUP)
    group["layout"] = LAYOUT
    group["facts"] = _as_text(_fitting(project.facts, project.path))
    if project.training is not None:
        _write_table(group, project, project.training)
    if project.novelty is not None:
        _write_novelty(group.create_group("novelty"), project.novelty)


def _write_table(group: h5py.Group, project: Project, table: TrainingTable) -> None:
    """Write the training table, unless it is larger than what is read again."""
    texts = {name: _as_text(getattr(table, name)) for name in (*TEXTS, "group_name", "extents")}
    found: dict[str, AnyArray] = {
        "rows": np.asarray(table.rows, np.float32),
        "center": np.asarray(table.center, np.float64),
        **{name: np.asarray(getattr(table, name), np.int64) for name in INTEGERS},
        **texts,
        "features": _as_text(project.selected),
    }
    if project.forest is not None:
        found["probabilities"] = project.forest.predict(table.rows).probabilities
    total, longest = sum(one.nbytes for one in found.values()), max(one.nbytes for one in texts.values())
    if total > MAXIMUM_BYTES or longest > MAXIMUM_TEXT_BYTES:
        log.warning(
            "%s: its training table of %d objects takes %d MB, of which names are %d MB: the project is written without it, "
            "since %d and %d MB at most are read again",
            project.path, len(table), total >> 20, longest >> 20, MAXIMUM_BYTES >> 20, MAXIMUM_TEXT_BYTES >> 20,
        )  # fmt: skip
        return
    stored = group.create_group("training")
    for name, value in found.items():
        stored[name] = value


def _fitting(facts: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The facts without the longest ones, as far as they are together longer than what is read again."""
    kept, length = dict(facts), {name: _as_text({name: value}).nbytes for name, value in facts.items()}
    while sum(length[name] for name in kept) > MAXIMUM_TEXT_BYTES:
        longest = max(kept, key=lambda name: length[name])
        log.warning("%s: the fact '%s' takes %d MB: it is left out", path, longest, length[longest] >> 20)
        del kept[longest]
    return kept


def _write_novelty(group: h5py.Group, model: NoveltyModel) -> None:
    group["columns"] = np.asarray(model.columns, np.int64)
    group["factor"] = np.asarray(model.factor, np.float64)
    group["references"] = np.asarray(model.references, np.float32)
    group["threshold"] = float(model.threshold)
    group["images"] = model.images


def _as_text(value: Any) -> AnyArray:
    """A value as JSON: names may hold any character, and the text has a fixed length."""
    return np.array(json.dumps(_finite(value), sort_keys=True, allow_nan=False).encode("ascii"))


def _finite(value: Any) -> Any:
    """The value with None for numbers that are not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------------------- reading


def with_own(file: h5py.File, project: Project) -> Project:
    """The project with what objclass stored in it, as far as that can be used: else nothing of it, and a warning."""
    if GROUP not in file:
        return project
    try:
        own = read_own(file)
        fault = outdated(own, project.classes, project.selected, project.labels) or _unfit(own, project)
    except (ProjectError, InputError, OSError, RecursionError, *DAMAGE) as why:
        fault = fault_of(why)
    if fault:
        log.warning("%s: %s: its training table is not used", project.path, fault)
        return project
    return replace(project, training=own.training, facts=own.facts, novelty=own.novelty)


def _unfit(own: Own, project: Project) -> str:
    """Why the group does not fit the forest, which may have to be trained again; ``""`` if it does."""
    table, novelty = own.training, own.novelty
    width = table.rows.shape[1] if table is not None else None
    columns = project.forest.columns if project.forest is not None else width
    if columns is None:
        return (
            "its classifier is missing, without which its novelty cannot be checked"
            if novelty is not None
            else ""
        )
    if width in (None, columns) and (novelty is None or novelty.columns.max() < columns):
        return ""
    return f"{GROUP} is damaged: its objects have other columns than its forest"


def fault_of(why: BaseException) -> str:
    """An error of reading in one line."""
    return str(why) if isinstance(why, ProjectError | InputError) else f"{GROUP} is damaged: {reason(why)}"


def read_own(file: h5py.File) -> Own:
    """What objclass stored, whether it fits the rest of the project or not.

    Raises
    ------
    ProjectError, InputError
        If it is damaged, or of a later version; errors of h5py and numpy (`DAMAGE`) also.
    """
    group = stored_group(file, GROUP)
    layout = int(np.asarray(stored_value(group["layout"])).ravel()[0])
    if layout != LAYOUT:
        message = f"they have layout {layout}, this version of objclass reads {LAYOUT}"
        raise ProjectError(message)
    facts = _read_text(group, "facts")
    if not isinstance(facts, dict):
        message = f"{group.name}/facts: expected a JSON object"
        raise ProjectError(message)
    novelty = _read_novelty(stored_group(group, "novelty")) if "novelty" in group else None
    if "training" not in group:
        return Own(facts=facts, novelty=novelty)
    stored = stored_group(group, "training")
    check_size([stored[name] for name in stored])
    table = _read_table(stored)
    return Own(table, _read_features(stored), _read_probabilities(stored, table), facts, novelty)


def _read_table(group: h5py.Group) -> TrainingTable:
    rows = _read_array(group, "rows", "f", 2).astype(np.float32)
    center = _read_array(group, "center", "f", 2).astype(np.float64)
    classes, image, timestep, label = (
        _read_array(group, name, "iu", 1).astype(np.int64) for name in INTEGERS
    )
    names, images, columns, sets, of_rows = (_read_list(group, name) for name in TEXTS)
    group_name = _read_text(group, "group_name")
    _check(isinstance(group_name, str), "group_name", "a text")
    table = TrainingTable(
        rows, classes, image, timestep, label, center, names, images, columns, sets, of_rows, group_name,
        _read_extents(group, len(images)),
    )  # fmt: skip  # checks lengths
    _check(len(rows) > 0, "rows", "an object at least")
    _check(center.shape[1] == 3, "center", "three numbers for each row")
    _check(np.isfinite(rows).all(), "rows", "finite numbers")
    _check(len(sets) == len(columns), "sets", "one for each column")
    _check_range("classes", classes, 1, len(names))
    _check_range("image", image, 0, len(images) - 1)
    _check_range("timestep", timestep, 0)
    _check_range("label", label, 0)
    return table


def _read_extents(group: h5py.Group, images: int) -> tuple[tuple[int, int, int], ...]:
    found = _read_text(group, "extents")
    triples = isinstance(found, list) and all(
        isinstance(lengths, list) and len(lengths) == 3 and all(type(n) is int and n > 0 for n in lengths)
        for lengths in found
    )
    _check(triples and len(found) in (0, images), "extents", "three lengths for each image")
    return tuple((x, y, z) for x, y, z in found)


def _read_novelty(group: h5py.Group) -> NoveltyModel:
    check_size([group[name] for name in group])
    columns = _read_array(group, "columns", "iu", 1).astype(np.int64)
    factor = _read_array(group, "factor", "f", 1).astype(np.float64)
    references = _read_array(group, "references", "f", 2).astype(np.float32)
    threshold = stored_number(group["threshold"])
    _check_range("columns", columns, 0)
    _check(len(columns) and len(np.unique(columns)) == len(columns), "columns", "different numbers")
    _check(
        factor.shape == columns.shape and np.isfinite(factor).all(),
        "factor",
        "a finite number for each column",
    )
    _check(references.shape[1] == len(columns), "references", "a number for each column")
    _check(0 < len(references) <= MAXIMUM_REFERENCES, "references", f"1 to {MAXIMUM_REFERENCES} objects")
    _check(np.isfinite(references).all(), "references", "finite numbers")
    _check(np.isfinite(threshold) and threshold > 0, "threshold", "a number above 0")
    images = int(stored_number(group["images"]))
    _check(images >= 1, "images", "a number from 1 on")
    return NoveltyModel(columns, factor, references, threshold, images)


def _read_features(group: h5py.Group) -> tuple[Key, ...]:
    found = _read_text(group, "features")
    pairs = isinstance(found, list) and all(
        isinstance(key, list) and len(key) == 2 and all(isinstance(name, str) for name in key)
        for key in found
    )
    _check(pairs, "features", "pairs of names")
    return tuple((key[0], key[1]) for key in found)


def _read_probabilities(group: h5py.Group, table: TrainingTable) -> NDArray[np.float32] | None:
    if "probabilities" not in group:
        return None
    found = _read_array(group, "probabilities", "f", 2).astype(np.float32)
    _check(len(found) == len(table), "probabilities", "a row for each object")
    return found


def _read_array(group: h5py.Group, name: str, kinds: str, ndim: int) -> AnyArray:
    found = np.asarray(stored_value(group[name], MAXIMUM_BYTES))
    _check(found.ndim == ndim and found.dtype.kind in kinds, name, f"{ndim}D, {kinds}")
    return found


def _read_list(group: h5py.Group, name: str) -> tuple[str, ...]:
    found = _read_text(group, name)
    _check(isinstance(found, list) and all(isinstance(text, str) for text in found), name, "a list of texts")
    return tuple(found)


def _read_text(group: h5py.Group, name: str) -> Any:
    """A value that is stored as JSON."""
    found = stored_value(group[name], MAXIMUM_TEXT_BYTES)
    _check(isinstance(found, bytes), name, "a text")
    return json.loads(found, parse_constant=lambda _: None)


def _check(holds: Any, name: str, expected: str) -> None:
    if not holds:
        message = f"{name} is damaged: expected {expected}"
        raise ProjectError(message)


def _check_range(name: str, values: IntArray, lowest: int, highest: int | None = None) -> None:
    inside = (values >= lowest).all() and (highest is None or (values <= highest).all())
    _check(inside, name, f"numbers from {lowest}{'' if highest is None else f' to {highest}'}")


# ---------------------------------------------------------------------------- whether it still fits the project


def outdated(own: Own, classes: Sequence[str], selected: Sequence[Key], labels: Labels) -> str:
    """What was changed since objclass wrote the table, such as by ilastik; ``""`` if nothing was.

    A project of objects that were measured in memory has no labels besides the table.
    """
    table = own.training
    if table is None:
        return ""
    stored = labels_as_rows(labels)
    known = np.column_stack([table.image, table.timestep, table.label, table.classes])
    changed = {
        "classes": table.names != tuple(classes),
        "features": own.features != tuple(selected),
        "labels": len(stored) > 0 and not np.array_equal(known[np.lexsort(known.T[::-1])], stored),
    }
    names = [name for name, is_changed in changed.items() if is_changed]
    return f"its {' and '.join(names)} were changed since objclass trained it" if names else ""


def labels_as_rows(labels: Labels) -> FloatArray:
    """Lane, time step, id and class of each labelled object, sorted (n, 4)."""
    rows = [
        np.column_stack([np.full(len(ids), lane), np.full(len(ids), t), ids, np.asarray(classes)[ids]])
        for lane, steps in sorted(labels.items())
        for t, classes in sorted(steps.items())
        for ids in [np.flatnonzero(classes)]
        if len(ids)
    ]
    return np.concatenate(rows) if rows else np.zeros((0, 4))
