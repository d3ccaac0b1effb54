"""Painted pixels -> channels -> forest -> pixel classification project."""

import dataclasses
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import Image
from objclass.errors import InputError, OutputError, ProjectError, UsageError
from objclass.export.atomic import Pending, check_writable
from objclass.export.naming import check_placeholders
from objclass.forest import fit
from objclass.pipeline.pairing import Inputs
from objclass.pixels.chain import stage_input
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.features import PixelFeatures
from objclass.pixels.samples import Labels, labelled_rows
from objclass.pixels.selection import named, pixel_features, too_large, usual, without
from objclass.project.ilp_pixels import read_pixel_project
from objclass.project.ilp_pixels_write import write_pixel_project
from objclass.project.model import MAXIMUM_CLASSES, Color, class_colors
from objclass.project.pixel_model import PixelProject, PixelStage, Strokes
from objclass.training.adding import check_class_names
from objclass.training.labels.classes import check_names
from objclass.training.pixel_lanes import (
    Key,
    PixelLane,
    given_lanes,
    image_key,
    images_inside,
    project_lanes,
    stored_image,
)
from objclass.training.retrain import SEED, TREES
from objclass.training.strokes import check_painted, counts, joined, open_painted, painted_strokes
from objclass.training.suggest import SuggestionFile
from objclass.training.target import check_target

log = logging.getLogger("objclass")

Sample = tuple[NDArray[np.float32], Labels]
"""Channels and class of the labelled pixels of an image."""

MAXIMUM_FOLDS = 5
"""Of the cross-validation: of more images, several are left out at a time."""

ROW_BYTES = 12
"""Memory for a channel of a labelled pixel: itself, among those of all images, and in a fold."""


@dataclass(frozen=True)
class PixelTrainingRequest:
    """What training of pixels is asked for.

    Parameters
    ----------
    project
        The file to write, or to add labels to; empty for a project that stays in memory.
    inputs
        Raw images.
    labels
        A painted image for each raw image; and projects (``.ilp``), whose images and labels are taken over. Where
        labels overlap, the later ones count, and painted images more than projects.
    class_names, class_colors
        In order; else those of the projects, then ``Class 1`` and so on.
    offset
        Axis -> where painted images begin in the raw images.
    mapping
        Painted value -> class, 0 for none; None: values are classes.
    features
        As `objclass.pixels.selection.named` takes them; empty for ilastik's usual selection.
    planar
        Scales at which planes of volumes are filtered one by one; empty for all, None for none.
    trees, seed
        Number of trees, random state: the same input gives the same bytes.
    output
        Where to write instead: then labels are added to those of ``project``, whose features count.
    overwrite
        Whether a project may be replaced.
    suggest
        File for the uncertainty of each raw image, with ``{nickname}`` in its name where there are several.
    """

    project: str
    inputs: Inputs
    labels: Sequence[str]
    class_names: tuple[str, ...] = ()
    class_colors: tuple[Color, ...] = ()
    offset: Mapping[str, int] = field(default_factory=dict)
    mapping: Mapping[int, int] | None = None
    features: Sequence[str] = ()
    planar: Sequence[float] | None = None
    trees: int = TREES
    seed: int = SEED
    output: str | None = None
    overwrite: bool = False
    suggest: str | None = None

    @property
    def target(self) -> str:
        """The file to write."""
        return self.output or self.project

    @property
    def painted(self) -> list[str]:
        """Painted images."""
        return [path for path in self.labels if not _is_project(path)]

    @property
    def projects(self) -> list[str]:
        """Projects whose labels are taken over."""
        return [path for path in self.labels if _is_project(path)]


@dataclass(frozen=True)
class PixelTrainingResult:
    """What was learned, for people.

    Parameters
    ----------
    counts
        Labelled pixels of each class.
    images
        Number of images with labels.
    channels
        Number of feature channels.
    out_of_bag
        Part of the labelled pixels that the trees which did not see them classify rightly: too good, since these
        trees saw the pixels next to them.
    by_image
        The same part by forests that saw nothing of the image; None if one image has all labels.
    recalls
        That part of each class.
    """

    counts: Mapping[str, int]
    images: int
    channels: int
    out_of_bag: float
    by_image: float | None
    recalls: Mapping[str, float]


def train_pixels(lesson: PixelTrainingRequest, context: Context | None = None) -> PixelTrainingResult:
    """Compute the channels of labelled pixels, fit a forest, write the project.

    Raises
    ------
    ObjclassError
        With what is wrong with images, labels or output; nothing is written then.
    """
    context = context or Context()
    check_names(lesson.class_names)
    base = _base(lesson)
    sources = [*([base] if base is not None else []), *map(_read_labels, lesson.projects)]
    names = _known_classes(lesson, sources)
    lanes = project_lanes(sources, names, base, lesson.target, context)
    given = given_lanes(lesson.inputs, lanes, lesson.target, context)
    lanes |= given
    marks = _open_painted(lesson, given, context)
    inputs = _inputs(lesson, list(lanes.values()))
    check_target(lesson.target, inputs, overwrite=lesson.overwrite, is_added=base is not None)
    features = _features(lesson, base, list(lanes.values()))
    suggestions = _suggestions(lesson, list(given.values()))

    labelled = _labelled(lesson, lanes, marks, context)
    classes, number = _all_classes(lesson, names, labelled)
    colors = _colors(lesson, base, classes)
    samples = _samples(features, labelled, context)
    classifier, out_of_bag = learned(features, classes, colors, samples, lesson.trees, lesson.seed)
    by_image, recalls = cross_validated(samples, lesson.trees, lesson.seed)
    _write(lesson, _project(lesson, base, labelled, classifier), classifier, suggestions, context)
    return PixelTrainingResult(
        dict(zip(classes, number, strict=True)),
        len(samples),
        classifier.columns,
        out_of_bag,
        by_image,
        {classes[k - 1]: recall for k, recall in recalls.items()},
    )


def trained_on(
    lesson: PixelTrainingRequest, lanes: Sequence[PixelLane], painted: Sequence[Image], context: Context
) -> PixelProject:
    """A project that has learned from images which are open; nothing is written.

    Parameters
    ----------
    lesson
        Of which inputs, labels and files do not count.
    lanes, painted
        The images, and the labels of each.
    context
        Memory and threads.

    Raises
    ------
    ObjclassError
        With what is wrong with images or labels.
    """
    check_names(lesson.class_names)
    numbered: dict[Key, PixelLane] = {(str(number),): lane for number, lane in enumerate(lanes)}
    marks = {
        key: check_painted(image, lane.opened, lesson.offset)
        for (key, lane), image in zip(numbered.items(), painted, strict=True)
    }
    features = _features(lesson, None, lanes)
    labelled = _labelled(lesson, numbered, marks, context)
    classes, _ = _all_classes(lesson, lesson.class_names, labelled)
    samples, colors = _samples(features, labelled, context), _colors(lesson, None, classes)
    classifier, _ = learned(features, classes, colors, samples, lesson.trees, lesson.seed)
    return _project(lesson, None, labelled, classifier)


def retrained_pixels(
    project: PixelProject, context: Context | None = None, *, anew: bool = False
) -> PixelProject:
    """The project with a new classifier in each stage that has none, or in all, from the labels that it stores.

    Raises
    ------
    ProjectError
        If a stage has no labels, or the images that were painted are not found.
    """
    context = context or Context()
    stages: list[PixelStage] = []
    for stage in project.stages:
        if stage.classifier is not None and not anew:
            stages.append(stage)
            continue
        samples = _stored_samples(project, stage, stages, context)
        trained, _ = learned(stage.features, stage.classes, stage.colors, samples, TREES, SEED)
        log.warning(
            "%s: the pixel classifier is trained again on %d labelled pixels of the images that they were painted "
            "on; ilastik's own training is random, so probabilities differ a little",
            project.path,
            sum(len(classes) for _, classes in samples),
        )
        stages.append(dataclasses.replace(stage, classifier=trained))
    return dataclasses.replace(project, stages=tuple(stages))


def check_retrainable_pixels(project: PixelProject) -> None:
    """Refuse a project that could not be trained again, without doing it.

    Raises
    ------
    ProjectError
        With what is missing: labels, or the images that were painted.
    """
    for stage in project.stages:
        if stage.classifier is None:
            for number in _painted_lanes(project, stage):
                stored_image(project, number, Context())


def _painted_lanes(project: PixelProject, stage: PixelStage) -> list[int]:
    """Numbers of the lanes with labels.

    Raises
    ------
    ProjectError
        If there are none.
    """
    found = [number for number, strokes in sorted(stage.strokes.items()) if counts(strokes)[1:].any()]
    if not found:
        message = (
            f"{project.path} holds no trained pixel classifier and no labels to train one: paint in ilastik, "
            "turn on Live Update and save it"
        )
        raise ProjectError(message)
    return found


def learned(
    features: PixelFeatures,
    classes: tuple[str, ...],
    colors: tuple[Color, ...],
    samples: Sequence[Sample],
    trees: int,
    seed: int,
) -> tuple[PixelClassifier, float]:
    """A classifier, and its out-of-bag accuracy; it knows the classes that have labels."""
    rows, given = _all(samples)
    known = np.unique(given)
    numbers = np.searchsorted(known, given) + 1
    forest, accuracy = fit(rows, numbers, len(known), trees, seed)
    return PixelClassifier(features, classes, (forest,), tuple(known.tolist()), colors), accuracy


def cross_validated(
    samples: Sequence[Sample], trees: int, seed: int
) -> tuple[float | None, dict[int, float]]:
    """Part of the labelled pixels that forests find which saw nothing of their images, of all and of each class.

    None if one image has all labels.
    """
    if len(samples) < 2:
        return None, {}
    folds = min(len(samples), MAXIMUM_FOLDS)
    given, found = [], []
    for fold in range(folds):
        rows, classes = _all([sample for k, sample in enumerate(samples) if k % folds != fold])
        known = np.unique(classes)
        forest, _ = fit(rows, np.searchsorted(known, classes) + 1, len(known), trees, seed)
        for hidden, truth in samples[fold::folds]:
            given.append(truth)
            found.append(known[forest.predict(hidden).classes - 1])
    truth, guess = np.concatenate(given), np.concatenate(found)
    right = truth == guess
    return float(right.mean()), {int(k): float(right[truth == k].mean()) for k in np.unique(truth)}


def _all(samples: Sequence[Sample]) -> Sample:
    if len(samples) == 1:
        return samples[0]
    return np.concatenate([rows for rows, _ in samples]), np.concatenate([classes for _, classes in samples])


def _stored_samples(
    project: PixelProject, stage: PixelStage, before: Sequence[PixelStage], context: Context
) -> list[Sample]:
    """Of the labels of a stage of a project; the stages before it are trained."""
    found = []
    earlier = [one.classifier for one in before if one.classifier is not None]
    for number in _painted_lanes(project, stage):
        image = stage_input(stored_image(project, number, context), earlier, context)
        found.append(_sample(stage.features, image, joined(stage.strokes[number], image), context))
    widths = sorted({rows.shape[1] for rows, _ in found})
    if len(widths) > 1:
        message = (
            f"{project.path}: its images give {widths} channels: one forest learns from images of one kind"
        )
        raise ProjectError(message)
    used = np.unique(_all(found)[1])
    if used[-1] > len(stage.classes):
        message = f"{project.path}: labels of class {used[-1]}: there are {len(stage.classes)} classes"
        raise ProjectError(message)
    return found


def _samples(features: PixelFeatures, lanes: Sequence[PixelLane], context: Context) -> list[Sample]:
    """Of all lanes with labels.

    Raises
    ------
    InputError
        If their channels do not fit into the memory, or are not finite.
    """
    marked = [lane for lane in lanes if lane.strokes]
    first = marked[0].opened
    columns = features.count(first.shape[1], first.shape[4])
    pixels = sum(int(counts(lane.strokes)[1:].sum()) for lane in marked)
    needed, memory = pixels * columns * ROW_BYTES, context.limits.memory
    if memory is not None and needed > memory:
        message = (
            f"{pixels} labelled pixels with {columns} channels take {needed // 10**6} MB, there are "
            f"{memory // 10**6} MB: paint fewer pixels (neighbours are alike), choose fewer features, or give more "
            "--max_memory"
        )
        raise InputError(message)
    return [_sample(features, lane.opened, lane.strokes, context) for lane in marked]


def _sample(features: PixelFeatures, image: Image, strokes: Sequence[Strokes], context: Context) -> Sample:
    rows, classes = labelled_rows(features, image, [(part.region, part.labels) for part in strokes], context)
    if not np.isfinite(rows).all():
        message = f"{image.name}: labelled pixels lie next to values that are not finite: paint elsewhere"
        raise InputError(message)
    return rows, classes


def _base(lesson: PixelTrainingRequest) -> PixelProject | None:
    """The project that labels are added to."""
    if lesson.output is None:
        return None
    base = _read_labels(lesson.project)
    check_class_names(base, lesson.class_names)
    return base


def _read_labels(path: str) -> PixelProject:
    """A project whose labels are taken over."""
    project = read_pixel_project(path)
    if len(project.stages) > 1:
        message = f"{path} is of the workflow '{project.workflow}': expected labels of Pixel Classification"
        raise ProjectError(message)
    return project


def _is_project(path: str) -> bool:
    return Path(path).suffix.lower() == ".ilp"


def _known_classes(lesson: PixelTrainingRequest, sources: Sequence[PixelProject]) -> tuple[str, ...]:
    """Names of the classes, as far as they are known before labels are read."""
    stored = tuple(dict.fromkeys(name for source in sources for name in source.classes))
    unknown = [name for name in stored if name not in lesson.class_names]
    if lesson.class_names and unknown:
        message = (
            f"--class_names {' '.join(lesson.class_names)}: {', '.join(lesson.projects)} has {', '.join(unknown)}, too: "
            "name all classes, or none"
        )
        raise UsageError(message)
    return lesson.class_names or stored


def _open_painted(
    lesson: PixelTrainingRequest, given: Mapping[Key, PixelLane], context: Context
) -> dict[Key, Image]:
    """Headers of the painted images of given lanes."""
    painted, stack = lesson.painted, lesson.inputs.stack_along
    if not painted and (lesson.offset or lesson.mapping is not None):
        message = (
            f"--{'label_offset' if lesson.offset else 'label_mapping'}: is for painted images, none is given"
        )
        raise UsageError(message)
    if len(painted) != len(given) and (painted or not lesson.projects):
        message = (
            f"{len(painted)} painted images for {len(given)} raw images: expected one for each "
            '(quote globs: "stack/*.png" is one image)'
        )
        raise UsageError(message)
    same = [path for path in painted if image_key(path) in given]
    if same:
        message = f"labels {same[0]} is a raw image: expected the image that was painted, 0 where it is not"
        raise InputError(message)
    return {
        key: open_painted(path, lane.opened, lesson.offset, stack_along=stack, context=context)
        for path, (key, lane) in zip(painted, given.items(), strict=False)
    }


def _inputs(lesson: PixelTrainingRequest, lanes: Sequence[PixelLane]) -> list[str]:
    """The files that are read; the project that is added to may be replaced."""
    outside = [lane.opened for lane in lanes if lane.image is not None and not lane.given.inside]
    return [*(file for image in outside for file in image.files), *lesson.labels]


def _features(
    lesson: PixelTrainingRequest, base: PixelProject | None, lanes: Sequence[PixelLane]
) -> PixelFeatures:
    """The channels to learn from: of the usual selection, those whose scales fit into the images.

    Raises
    ------
    InputError
        If there are no images, or not of one kind, or one is too small.
    """
    seen = [lane.opened for lane in lanes if lane.image is not None]
    if not seen:
        message = "no images with labels: give --raw_data and painted images, or projects that hold labels"
        raise InputError(message)
    for image in seen:
        _check_like(image, seen[0])
    z, y, x = (min(image.shape[axis] for image in seen) for axis in (1, 2, 3))
    size = f"{z} × {y} × {x}" if z > 1 else f"{y} × {x}"
    wanted = named(lesson.features) if lesson.features else usual()
    features = base.stages[0].features if base is not None else pixel_features(wanted, lesson.planar, z)
    large = too_large(features, (z, y, x))
    if not large:
        return features
    why = f"{', '.join(f'{scale:g}' for scale in large)} are too large for images of {size} pixels"
    remedy = " (--compute_in_2d filters planes one by one)" if z > 1 and base is None else ""
    left = without(wanted, large)
    if base is not None or lesson.features or not left:
        message = f"scales {why}: give larger images or smaller scales{remedy}"
        raise InputError(message)
    log.warning("scales %s and left out%s", why, remedy)
    planar = None if lesson.planar is None else [scale for scale in lesson.planar if scale not in large]
    return pixel_features(left, planar, z)


def _check_like(image: Image, first: Image) -> None:
    if (image.ndim, image.shape[4]) != (first.ndim, first.shape[4]):
        message = (
            f"{image.name} is {image.ndim}D with {image.shape[4]} channels, {first.name} {first.ndim}D with "
            f"{first.shape[4]}: one forest learns from images of one kind"
        )
        raise InputError(message)


def _suggestions(lesson: PixelTrainingRequest, given: Sequence[PixelLane]) -> list[SuggestionFile]:
    """The files of ``--suggest``, one for each raw image."""
    if lesson.suggest is None:
        return []
    if not given:
        message = "--suggest: expected --raw_data, whose uncertainty it shows"
        raise UsageError(message)
    check_placeholders("suggest", lesson.suggest, ("nickname",))
    if len(given) > 1 and "{nickname}" not in lesson.suggest:
        message = f"--suggest {lesson.suggest}: {len(given)} images: expected {{nickname}} in the name"
        raise UsageError(message)
    names = [lesson.suggest.replace("{nickname}", lane.given.nickname) for lane in given]
    files = [SuggestionFile(name, lane.opened) for name, lane in zip(names, given, strict=True)]
    taken = {os.path.realpath(path) for path in [*_inputs(lesson, given), lesson.project, lesson.target]}
    for name in names:
        if names.count(name) > 1 or os.path.realpath(name) in taken:
            message = f"--suggest {name} would overwrite an input or another image: give another name"
            raise OutputError(message)
        check_writable(name)
    return files


def _labelled(
    lesson: PixelTrainingRequest, lanes: Mapping[Key, PixelLane], marks: Mapping[Key, Image], context: Context
) -> list[PixelLane]:
    """The lanes with all their labels; painted images are read now."""
    paint = {
        key: painted_strokes(mark, lesson.offset, lesson.mapping, context) for key, mark in marks.items()
    }
    return [_joined(lane, paint.get(key, ())) for key, lane in lanes.items()]


def _joined(lane: PixelLane, paint: Iterable[Strokes]) -> PixelLane:
    """The lane with its labels and what is painted over them, which is read now, in blocks that do not overlap."""
    if lane.image is None:
        return lane
    return dataclasses.replace(lane, strokes=joined(chain(lane.strokes, paint), lane.image))


def _all_classes(
    lesson: PixelTrainingRequest, names: tuple[str, ...], lanes: Sequence[PixelLane]
) -> tuple[tuple[str, ...], list[int]]:
    """Names of all classes, and the number of labelled pixels of each.

    Raises
    ------
    InputError
        If fewer than two have labels, or labels are beyond the names.
    """
    number = sum((counts(lane.strokes) for lane in lanes), np.zeros(MAXIMUM_CLASSES + 1, np.int64))
    painted = [k for k in range(1, len(number)) if number[k]]
    if len(painted) < 2:
        which = f"only class {painted[0]} is painted" if painted else "nothing is painted"
        message = f"labels: {which}: expected pixels of two classes at least (0 is unlabelled)"
        raise InputError(message)
    if lesson.class_names and painted[-1] > len(names):
        message = (
            f"labels of class {painted[-1]}, but --class_names has {len(names)}: name all classes, or none"
        )
        raise InputError(message)
    classes = (*names, *(f"Class {k}" for k in range(len(names) + 1, painted[-1] + 1)))
    check_names(classes)
    return classes, number[1 : len(classes) + 1].tolist()


def _colors(
    lesson: PixelTrainingRequest, base: PixelProject | None, classes: Sequence[str]
) -> tuple[Color, ...]:
    """Colours of the classes: those given, else those of the project, else our own."""
    if len(lesson.class_colors) > len(classes):
        message = f"{len(lesson.class_colors)} --class_colors for {len(classes)} classes"
        raise UsageError(message)
    stored = base.stages[0].colors if base is not None else ()
    return class_colors((*lesson.class_colors, *stored[len(lesson.class_colors) :]), len(classes))


def _project(
    lesson: PixelTrainingRequest,
    base: PixelProject | None,
    lanes: Sequence[PixelLane],
    classifier: PixelClassifier,
) -> PixelProject:
    """What the project is to say; a base keeps its settings of exports."""
    strokes = {number: lane.strokes for number, lane in enumerate(lanes)}
    stage = PixelStage(classifier.features, classifier.classes, classifier.colors, classifier, strokes)
    first = base or PixelProject("", "Pixel Classification", "", ())
    inside = images_inside(base)
    new = [lane for lane in lanes if lane.given.inside and lane.given.inside.strip("/") not in inside]
    return dataclasses.replace(
        first,
        path=lesson.target,
        stages=(stage,),
        lanes=tuple(lane.inputs for lane in lanes),
        images={lane.given.inside: lane.opened for lane in new},
    )


def _write(
    lesson: PixelTrainingRequest,
    project: PixelProject,
    classifier: PixelClassifier,
    suggestions: Sequence[SuggestionFile],
    context: Context,
) -> None:
    """The project and the images of uncertainty: all of them, or none."""
    pending = Pending()
    try:
        write_pixel_project(pending.add(lesson.target), project, lesson.project if lesson.output else None)
        for file in suggestions:
            file.write(pending.add(file.path), classifier, context)
        pending.commit()
    finally:
        pending.discard()
