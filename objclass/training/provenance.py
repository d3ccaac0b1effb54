"""Where a project comes from: settings of its training, its choice of features, and digests of what it was trained on."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import Image, Lane
from objclass.evaluation.cross_validation import CrossValidation
from objclass.evaluation.selection import Selection
from objclass.features.contract import AUTO
from objclass.images.blockwise import slab_reader
from objclass.version import __version__

MAXIMUM_DROPPED = 500
"""Maximum number of features that were not chosen whose names are stored."""


def training_facts(trees: int, seed: int, class_weight: str | None, accuracy: float) -> dict[str, Any]:
    """Settings of a training, and its out-of-bag accuracy."""
    return {
        "version": __version__,
        "trees": int(trees),  # JSON knows no integers of numpy
        "seed": int(seed),
        "class_weight": class_weight,
        "out_of_bag_accuracy": accuracy,
    }


def choice_facts(selection: Selection) -> dict[str, Any]:
    """That features were chosen, and how: numbers by feature set, scores, names of those that were dropped."""
    kept, dropped = (Counter(name for name, _ in keys) for keys in (selection.kept, selection.dropped))
    found: dict[str, Any] = {
        "sets": {name: {"kept": kept[name], "dropped": dropped[name]} for name in sorted({*kept, *dropped})},
        "dropped": [list(key) for key in selection.dropped[:MAXIMUM_DROPPED]],
    }
    if selection.reason:
        found["reason"] = selection.reason
    else:
        of_all, of_kept = selection.balanced_accuracies
        found |= {"balanced_accuracy": of_kept, "balanced_accuracy_of_all": of_all}
    return {"features": AUTO, "feature_choice": found}


def kept_choice_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `choice_facts` said of a project whose features are used again."""
    return {name: facts[name] for name in ("features", "feature_choice") if name in facts}


def with_caution_of_choice(found: CrossValidation, facts: Mapping[str, Any]) -> CrossValidation:
    """A cross-validation of a project whose features were not chosen again in each fold: with a caution if labels chose them."""
    if facts.get("features") != AUTO:
        return found
    why = (
        "The features were chosen with the help of the same labels (--features auto), so that these scores are "
        "optimistic: those of the training that chose them are not."
    )
    return replace(found, cautions=(why, *found.cautions))


def input_facts(lanes: Mapping[int, Lane], labels: Any, known: Any, context: Context) -> list[Any]:
    """For each lane the labelled time steps, and digests of the pixels in them by role; None where they are not known.

    Parameters
    ----------
    lanes
        Those that can be read, by their number in the project.
    labels
        Of the project, also those of other lanes.
    known
        Facts about lanes that the project had before.
    """
    before = known if isinstance(known, list) else []

    def described(number: int) -> Any:
        if number not in lanes:
            return before[number] if number < len(before) else None
        lane = lanes[number]
        steps = [t for t, classes in sorted(labels.get(number, {}).items()) if np.any(classes)]
        images = {"raw_data": lane.raw, lane.role: lane.objects}
        found = {role: digest(image, steps, context) for role, image in images.items() if image is not None}
        return {"timesteps": steps, **found}

    return list(context.ordered(described, range(1 + max([*lanes, *labels], default=-1))))


def is_trained_on(lane: Lane, inputs: Any, context: Context) -> bool:
    """Whether a lane has the pixels of one that a project was trained on.

    Parameters
    ----------
    inputs
        What `input_facts` said of the project; it may be anything.
    """
    role = "raw_data" if lane.raw is not None else lane.role
    image = lane.raw if lane.raw is not None else lane.objects
    known: dict[tuple[int, ...], set[Any]] = {}
    for one in inputs if isinstance(inputs, list) else ():
        steps = one.get("timesteps") if isinstance(one, dict) else None
        if (
            isinstance(steps, list)
            and steps  # of no time step all images are the same
            and all(type(t) is int and 0 <= t < image.shape[0] for t in steps)
            and isinstance(one.get(role), str)
        ):
            known.setdefault(tuple(steps), set()).add(one[role])
    return any(digest(image, steps, context) in found for steps, found in known.items())


def digest(image: Image, steps: Sequence[int], context: Context) -> str:
    """SHA-256 of the pixels of some time steps in the order t, z, y, x, c, little-endian.

    It depends neither on the format nor on the blocks in which the image is read.
    """
    found = hashlib.sha256()
    shape = image.shape[1:4]
    for t in steps:
        read = slab_reader(image, t, slice(0, image.shape[4]), context)
        for slab in context.limits.slabs(shape):
            pixels = read(slab.within(shape))
            found.update(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data)
    return found.hexdigest()
