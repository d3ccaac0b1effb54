"""Labels of other projects (.ilp): their labels are taken over, for their images or for those that are given."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from objclass.errors import ImageError, InputError, ProjectError, listed
from objclass.images.paths import check_here, expand
from objclass.pipeline.pairing import LanePaths
from objclass.project.model import MAXIMUM_SIZE, Project
from objclass.project.open import check_workflow, open_project
from objclass.project.pixel_model import PIXEL_WORKFLOWS
from objclass.settings import ProjectThreshold
from objclass.training.labels.annotation import Annotation, Reading
from objclass.training.labels.classes import checked_name
from objclass.training.labels.given import GivenLanes
from objclass.training.pixel_lanes import Key, image_key
from objclass.training.stored_images import stored_path

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class LabelledLane:
    """A lane of a project that has labels.

    Parameters
    ----------
    project, number
        The project, and the number of the lane in it.
    key
        What tells its images apart.
    paths
        Its images, as seen from here.
    """

    project: Project
    number: int
    key: tuple[Key, ...]
    paths: LanePaths

    @property
    def line(self) -> str:
        """Where its labels are, for messages; ilastik counts lanes from 1."""
        return f"{self.project.path} lane {self.number + 1}"


@dataclass(frozen=True)
class Matched:
    """The lanes of a training, given ones and those of projects.

    Parameters
    ----------
    lanes
        All lanes, the given ones first.
    given
        The number of given ones.
    places
        Each labelled lane of a project, and its place in ``lanes``.
    left_out
        Messages about lanes of projects that were left out.
    """

    lanes: Sequence[LanePaths]
    given: int
    places: Sequence[tuple[LabelledLane, int]] = ()
    left_out: Sequence[str] = field(default_factory=tuple)


def open_sources(paths: Sequence[str]) -> list[Project]:
    """The projects whose labels are taken over.

    Raises
    ------
    ProjectError
        If one cannot be opened, classifies pixels, or is of another workflow than the others.
    """
    sources = []
    for path in paths:
        if check_workflow(path) in PIXEL_WORKFLOWS:
            message = (
                f"labels {path}: a project of pixels: its labels are strokes, for training with --pixels"
            )
            raise ProjectError(message)
        sources.append(open_project(path))
        if sources[-1].pixels is not None:
            message = (
                f"labels {path}: its objects are found in pixels that it classifies: save these probabilities, and "
                "label the objects in a project from a prediction image"
            )
            raise ProjectError(message)
        if sources[-1].role != sources[0].role:
            message = (
                f"labels {path}: objects of --{sources[-1].role}, but those of {sources[0].path} are of "
                f"--{sources[0].role}: expected one workflow"
            )
            raise ProjectError(message)
    return sources


def threshold_of(sources: Sequence[Project], given: ProjectThreshold | None) -> ProjectThreshold:
    """The thresholds of a training that takes over labels of projects.

    Parameters
    ----------
    sources
        The projects.
    given
        Those that are given; None: those of the projects are used.

    Raises
    ------
    InputError
        If they differ: then objects have other ids.
    """
    first = sources[0]
    chosen = first.threshold if given is None else given
    for source in sources:
        differing = sorted(
            f"{name} {theirs.get(name)} and {ours.get(name)}"
            for theirs, ours in [(_settings(source.threshold), _settings(chosen))]
            for name in theirs.keys() | ours.keys()
            if theirs.get(name) != ours.get(name)
        )
        if differing:
            where = f"of {first.path}" if given is None else "that are given"
            message = (
                f"labels {source.path}: its thresholds are not those {where}: {listed(differing)}: its labels are "
                "for other objects"
            )
            raise InputError(message)
    if given is None and first.role == "prediction_maps":
        log.info("thresholds are those of %s", first.path)
    return chosen


def _settings(threshold: ProjectThreshold) -> dict[str, object]:
    """The settings that say which objects there are."""
    found: dict[str, object] = {
        "method": threshold.method,
        "threshold": threshold.threshold,
        "channel": threshold.channel,
        "sigmas": threshold.sigma_xyz,
        "min_size": threshold.min_size,
        "max_size": threshold.max_size or MAXIMUM_SIZE,
    }
    if threshold.method != "simple":
        found |= {"core_threshold": threshold.core_threshold, "core_channel": threshold.core_channel}
    return found


def matched(
    sources: Sequence[Project], given: Sequence[LanePaths], role: str, *, allow_misses: bool
) -> Matched:
    """Find the images of projects among the given ones; others become further lanes.

    The same files are the same image. An image that is not found where the project says is the given one of its name.

    Parameters
    ----------
    sources
        The projects.
    given
        The given lanes.
    role
        That of the images that define the objects.
    allow_misses
        Whether labels of images that are not found are left out.

    Raises
    ------
    InputError
        If a labelled image is not found.
    """
    lanes = list(given)
    known = {_key(lane.paths, role): place for place, lane in enumerate(lanes)}
    names: dict[str, list[int]] = {}
    for place, lane in enumerate(lanes):
        names.setdefault(lane.name, []).append(place)
    places, left_out = [], []
    for own in (own for source in sources for own in _labelled_lanes(source, role)):
        missing = None if own.key in known else _missing(own)
        if missing is None:
            place = known.setdefault(own.key, len(lanes))
            if place == len(lanes):
                lanes.append(own.paths)
            places.append((own, place))
        elif len(same := names.get(own.paths.name, [])) == 1:
            log.warning("%s: %s: the labels are taken for the given image of that name", own.line, missing)
            places.append((own, same[0]))
        elif allow_misses:
            left_out.append(f"{own.line}: {missing}")
        else:
            message = (
                f"labels {own.line}: {missing}: give its image too, or --allow_misses to leave its labels out"
            )
            raise InputError(message)
    return Matched(lanes, len(given), places, left_out)


def _key(paths: Mapping[str, str], role: str) -> tuple[Key, ...]:
    return tuple(image_key(paths[name]) for name in ("raw_data", role) if name in paths)


def _labelled_lanes(source: Project, role: str) -> Iterator[LabelledLane]:
    """The lanes of a project that have labels."""
    for number, steps in sorted(source.labels.items()):
        if not any(np.count_nonzero(classes) for classes in steps.values()):
            continue
        stored = source.lanes[number] if number < len(source.lanes) else {}
        roles = ("raw_data", role)
        absent = [name for name in roles if name not in stored]
        if absent:
            message = f"labels {source.path} lane {number + 1}: the project does not name its {absent[0]}"
            raise ProjectError(message)
        paths = {name: stored_path(source, stored[name]) for name in roles}
        axes = tuple(stored[name].axes or None for name in roles)
        lane = LanePaths(paths, f"{source.path} lane {number + 1}", axes=axes)
        yield LabelledLane(source, number, _key(paths, role), lane)


def _missing(lane: LabelledLane) -> str | None:
    """A message about an image that is not there; None if all are."""
    try:
        for path in lane.paths.paths.values():
            check_here(path)
            expand(path)
    except ImageError as fault:
        return str(fault)
    return None


def read_labels_of(matched: Sequence[tuple[LabelledLane, int]], given: GivenLanes) -> Reading:
    """The labels of lanes of projects.

    Parameters
    ----------
    matched
        Each lane, and its number here.
    given
        The lanes.

    Raises
    ------
    InputError
        If an image has another shape than the one that was labelled, or labels are of no class.
    """
    return Reading([a for lane, number in matched for a in _annotations(lane, number, given)])


def _annotations(lane: LabelledLane, number: int, given: GivenLanes) -> Iterator[Annotation]:
    project, image = lane.project, given.lanes[number].objects
    stored = project.lanes[lane.number][project.role].shape
    if stored and tuple(stored) != image.stored.shape:
        message = f"labels {lane.line}: they are for an image of shape {tuple(stored)}, {image.name} has shape {image.stored.shape}"
        raise InputError(message)
    for t, classes in sorted(project.labels[lane.number].items()):
        for label in np.flatnonzero(classes).tolist():
            line = f"{lane.line}, time step {t}, object {label}"
            value = float(classes[label])
            if not value.is_integer() or not 1 <= value <= len(project.classes):
                message = f"labels {line}: class {value:g}: there are {len(project.classes)} classes"
                raise InputError(message)
            name = checked_name(project.classes[int(value) - 1], line)
            yield given.checked(Annotation(number, t, name, line, label))
