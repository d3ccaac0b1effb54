"""Labels that are painted: an image of the size of its lane, 0 where nothing is painted, else the number of a class."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from os.path import join

import numpy as np

from objclass import images
from objclass.compute.context import Context
from objclass.compute.slabs import Slab
from objclass.core import AnyArray, Image, Lane, Objects
from objclass.errors import InputError, LaneError, UsageError, listed
from objclass.images.blockwise import slab_reader
from objclass.segmentation.labelling import integral
from objclass.training.labels.annotation import Hits, StepLabels
from objclass.training.labels.classes import numbered_name
from objclass.training.labels.given import SEVERAL, GivenLanes


def painted_lanes(paths: Sequence[str], places: Sequence[int], given: GivenLanes) -> dict[int, str]:
    """The lane of each painted image.

    Parameters
    ----------
    paths
        The painted images.
    places
        The number of each lane that was given, in the order in which they were given.

    Returns
    -------
    Lane -> its painted image: as many as lanes were given are theirs, in this order; others are matched by their names.

    Raises
    ------
    UsageError
        If there are more, or a name does not say whose image it is.
    """
    if len(paths) == len(places):
        return dict(zip(places, paths, strict=True))
    if len(paths) > len(given.lanes):
        message = (
            f"{len(paths)} label images for {len(given.lanes)} lanes: expected one for each lane at most"
        )
        raise UsageError(message)
    found: dict[int, str] = {}
    for path in paths:
        nickname, folder = images.dataset_name(path)
        lane = given.of_file(join(folder, nickname))
        if lane is None or lane == SEVERAL:
            message = (
                f"{len(paths)} label images for {len(given.lanes)} lanes: expected one for each lane, or names that begin "
                f"with those of their images ({listed(given.names)}), not {path}"
            )
            raise UsageError(message)
        if lane in found:
            message = f"label images {found[lane]} and {path} are both for {given.names[lane]}: give one"
            raise UsageError(message)
        found[lane] = path
    return found


def open_painted(path: str, lane: Lane, stack_along: str, context: Context) -> Image:
    """The painted image of a lane, without reading its pixels.

    Raises
    ------
    InputError
        If it has another shape.
    """
    image = images.open_image(path, stack_along=stack_along, context=context)
    if image.stored.shape == lane.objects.stored.shape:  # painted over that image: it has the same axes
        image = replace(image, axes=lane.objects.axes, axes_from=lane.objects.name)
    if image.shape[:4] != lane.objects.shape[:4] or image.shape[4] != 1:
        message = (
            f"labels {image.name} of shape {image.stored.shape} (axes {image.axes}) do not fit "
            f"{lane.objects.name} of shape {lane.objects.stored.shape} (axes {lane.objects.axes}): expected "
            "one class value for each of its pixels, in one channel"
        )
        raise InputError(message)
    return image


def is_painted(image: Image, t: int, context: Context) -> bool:
    """Whether anything is painted in a time step."""
    shape = image.shape[1:4]
    read = slab_reader(image, t, slice(0, 1), context)

    def look(slab: Slab) -> bool:
        return bool((read(slab.within(shape)) > 0).any())

    return any(context.ordered(look, context.limits.slabs(shape)))


def painted_labels(
    image: Image, t: int, objects: Objects, given: GivenLanes, name: str, context: Context
) -> StepLabels:
    """The labels of a time step from a painted image: the class that covers most of the painted pixels of an object.

    Raises
    ------
    InputError
        If objects are painted with two classes in equal parts, or with a number that no class has.
    """
    votes, stray = _votes(image, t, objects, context)
    tied = [
        label for label, vote in votes.items()
        if len(vote) > 1 and len({n for _, n in vote.most_common(2)}) == 1
    ]  # fmt: skip
    if tied:
        message = (
            f"labels {image.name}: objects {listed(map(str, tied))} of {name}, time step {t}, are "
            "painted with two classes in equal parts: paint each with one"
        )
        raise InputError(message)
    left_out = [f"{image.name}: {stray} painted pixels on background"] if stray else []
    mixed = [str(label) for label, vote in votes.items() if len(vote) > 1]
    if mixed:
        left_out.append(
            f"{image.name}: objects {listed(mixed)} are painted with several classes: the class with most of their "
            "painted pixels is used"
        )
    numbers = {label: vote.most_common(1)[0][0] for label, vote in votes.items()}
    names = {
        n: numbered_name(n, given.classes, image.name, "painted value") for n in sorted(set(numbers.values()))
    }
    total = stray + sum(vote.total() for vote in votes.values())
    return StepLabels(
        {label: names[n] for label, n in numbers.items()}, left_out=left_out, pixels=Hits(total, stray)
    )


def _votes(image: Image, t: int, objects: Objects, context: Context) -> tuple[dict[int, Counter[int]], int]:
    """Painted pixels of each object by value, sorted by object; and those on background."""
    shape = image.shape[1:4]
    read = slab_reader(image, t, slice(0, 1), context)

    def count(slab: Slab) -> tuple[AnyArray, AnyArray]:
        box = slab.within(shape)
        paint, labels = _values(read(box)[..., 0], image.name), objects.labels[box]
        painted = paint > 0
        pairs = np.column_stack([labels[painted], paint[painted]])
        return np.unique(pairs, axis=0, return_counts=True)

    found: Counter[tuple[int, int]] = Counter()
    for pairs, counts in context.ordered(count, context.limits.slabs(shape)):
        for (label, value), number in zip(pairs.tolist(), counts.tolist(), strict=True):
            found[int(label), int(value)] += number
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for (label, value), number in sorted(found.items()):
        votes[label][value] = number
    return votes, votes.pop(0, Counter()).total()


def _values(paint: AnyArray, name: str) -> AnyArray:
    """The painted values with an integer dtype.

    Raises
    ------
    InputError
        If a value is not a whole number.
    """
    try:
        return integral(paint, name)
    except LaneError:
        message = f"labels {name}: values that are not whole numbers: expected 0 where nothing is painted, else the number of a class"
        raise InputError(message) from None
