"""Where a project comes from: settings of its training, and digests of what it was trained on."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import Image, Lane
from objclass.images.blockwise import slab_reader
from objclass.version import __version__


def training_facts(trees: int, seed: int, class_weight: str | None, accuracy: float) -> dict[str, Any]:
    """Settings of a training, and its out-of-bag accuracy."""
    return {
        "version": __version__,
        "trees": int(trees),  # JSON knows no integers of numpy
        "seed": int(seed),
        "class_weight": class_weight,
        "out_of_bag_accuracy": accuracy,
    }


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
