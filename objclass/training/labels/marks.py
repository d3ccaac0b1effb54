"""From annotations to the labels of the objects of a time step."""

from collections.abc import Iterator, Sequence

import numpy as np

from objclass.compute.context import Context
from objclass.core import Objects
from objclass.errors import InputError
from objclass.training.labels.annotation import Annotation, Hits, StepLabels
from objclass.training.labels.area import objects_in


def marked_labels(
    annotations: Sequence[Annotation], objects: Objects, image: str, context: Context
) -> tuple[list[tuple[int, Annotation]], StepLabels]:
    """The labels of a time step from annotations.

    Parameters
    ----------
    annotations
        Those of this time step.
    image
        Name of the lane, for messages.

    Returns
    -------
    Each labelled object with its annotation; and misses, without classes.

    Raises
    ------
    InputError
        If there is no object of an id.
    """
    found: list[tuple[int, Annotation]] = []
    left_out = []
    for annotation, labels in _found(annotations, objects, context):
        found += [(label, annotation) for label in labels]
        if not labels:
            what = (
                "at this point"
                if annotation.area is None
                else "with more than half of its pixels in this area"
            )
            left_out.append(f"{annotation.line}: there is no object {what} of {image}")
    places = sum(a.place is not None or a.area is not None for a in annotations)
    return found, StepLabels({}, left_out=left_out, marks=Hits(places, len(left_out)))


def _found(
    annotations: Sequence[Annotation], objects: Objects, context: Context
) -> Iterator[tuple[Annotation, Sequence[int]]]:
    """The ids of the objects of each annotation."""
    original = _numbers(objects) if any(a.original for a in annotations) else {}
    drawn = [a for a in annotations if a.area is not None]
    areas = iter(objects_in([a.area for a in drawn if a.area is not None], objects, context))
    for annotation in annotations:
        if annotation.area is not None:
            yield annotation, next(areas)
        else:
            label = _labelled_object(annotation, objects, original)
            yield annotation, [label] if label else []


def _numbers(objects: Objects) -> dict[int, int]:
    """Id in the label image that was given -> id."""
    ids = objects.original if objects.original is not None else np.zeros(0, int)
    return {int(original): label for label, original in enumerate(ids.tolist(), 1)}


def _labelled_object(given: Annotation, objects: Objects, original: dict[int, int]) -> int:
    """Id of the labelled object, 0 for background."""
    by_id = _by_id(given, objects, original) if given.label or given.original else 0
    if given.place is None:
        return by_id
    z, y, x = given.place
    there = int(objects.labels[slice(z, z + 1), slice(y, y + 1), slice(x, x + 1)].item())
    if by_id and there != by_id:
        message = f"labels {given.line}: x, y are in object {there}, but the id is that of object {by_id}"
        raise InputError(message)
    return there


def _by_id(given: Annotation, objects: Objects, original: dict[int, int]) -> int:
    """Id of the object of a label that is given by id."""
    if given.original and objects.original is not None:
        if given.original in original:
            return original[given.original]
    elif 1 <= given.label <= objects.count:
        return given.label
    message = (
        f"labels {given.line}: there is no object {given.label or given.original}: time step {given.t} has "
        f"{objects.count} objects"
    )
    raise InputError(message)
