"""Ways to give painted labels of pixels: images, and projects; and how they are joined."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from objclass import images
from objclass.compute.context import Context
from objclass.core import AXES, AnyArray, Image, Region
from objclass.errors import InputError, UsageError
from objclass.images.paths import expand, kind
from objclass.pixels.samples import bounding_box
from objclass.project.ilp_values import MAXIMUM_BYTES
from objclass.project.model import MAXIMUM_CLASSES
from objclass.project.pixel_model import Strokes
from objclass.registry import image_format

PLANE_TILE, VOLUME_TILE = (1, 1, 256, 256, 1), (1, 64, 64, 64, 1)
"""Lengths along t, z, y, x, c of the blocks in which labels are stored, of planes and of volumes."""

Offset = Mapping[str, int]
"""Axis -> where a painted image begins in the raw image."""


def open_painted(
    path: str, raw: Image, offset: Offset, *, stack_along: str = "z", context: Context | None = None
) -> Image:
    """Open a painted image; only headers are read.

    Parameters
    ----------
    path
        Of the painted image.
    raw
        Which it belongs to.
    offset
        Where it begins there.
    stack_along
        Axis along which several files become one image.
    context
        Of the run that reads it.

    Raises
    ------
    InputError
        If its format smears values, or it does not lie inside the raw image.
    """
    for part in expand(path):
        suffix = kind(part.file)
        known = image_format(suffix) if suffix else None
        if known and any(output.lossy for output in known.outputs):
            message = (
                f"labels {part.file}: {known.name} smears values: save them as PNG or TIFF when you paint"
            )
            raise InputError(message)
    return check_painted(images.open_image(path, stack_along=stack_along, context=context), raw, offset)


def check_painted(image: Image, raw: Image, offset: Offset) -> Image:
    """The same painted image, with the axes of the raw image where it has its shape.

    Parameters
    ----------
    image, raw
        The painted image, and the one that it belongs to.
    offset
        Where it begins there.

    Raises
    ------
    InputError
        If it has several channels, or does not lie inside the raw image.
    """
    lengths = [(axis, n) for axis, n in zip(raw.axes, raw.stored.shape, strict=True) if axis != "c"]
    letters, shape = "".join(axis for axis, _ in lengths), tuple(n for _, n in lengths)
    if image.stored.shape == shape:  # painted over it: it has its axes
        image = replace(image, axes=letters, axes_from=raw.name)
    elif image.stored.shape == (*shape, 1) and image.axes_from == "shape":
        image = replace(image, axes=f"{letters}c", axes_from=raw.name)
    if image.shape[4] != 1:
        message = (
            f"labels {image.name} of shape {image.stored.shape} (axes {image.axes}) have {image.shape[4]} channels: "
            "expected one, in which 0 is unlabelled and classes are 1, 2, 3 … (are they colours?)"
        )
        raise InputError(message)
    starts = [offset.get(axis, 0) for axis in AXES[:4]]
    sides = zip(starts, image.shape, raw.shape, strict=False)
    is_inside = all(start >= 0 and start + n <= whole for start, n, whole in sides)
    if not is_inside or (not offset and image.shape[:4] != raw.shape[:4]):
        at = f" at --label_offset {','.join(f'{axis}={n}' for axis, n in offset.items())}" if offset else ""
        expected = (
            "labels inside of it"
            if offset
            else "the same (smaller ones are put in their place by --label_offset)"
        )
        message = (
            f"labels {image.name} of shape {image.stored.shape} (axes {image.axes}){at} do not fit {raw.name} of shape "
            f"{raw.stored.shape} (axes {raw.axes}): expected {expected}"
        )
        raise InputError(message)
    return image


def painted_strokes(
    image: Image, offset: Offset, mapping: Mapping[int, int] | None, context: Context
) -> Iterator[Strokes]:
    """Labels of a painted image, slab by slab.

    Parameters
    ----------
    image
        From `open_painted`.
    offset
        Where it begins in the raw image.
    mapping
        Value -> class, 0 for none; None: the values are the classes.
    context
        Memory for the slabs.

    Raises
    ------
    InputError
        If a value is no class, or not in the mapping.
    """
    steps, shape = image.shape[0], image.shape[1:4]
    for t in range(steps):
        for slab in context.limits.slabs(shape):
            z, y, x = slab.within(shape)
            values = _whole(image.read((slice(t, t + 1), z, y, x, slice(0, 1))), image.name)
            if not values.any():
                continue
            labels = _classes(values, mapping, image.name)
            parts = zip(AXES, (slice(t, t + 1), z, y, x, slice(0, 1)), strict=True)
            moved = (slice(p.start + offset.get(a, 0), p.stop + offset.get(a, 0)) for a, p in parts)
            region: Region = tuple(moved)  # type: ignore[assignment]
            yield Strokes(region, labels)


def _whole(values: AnyArray, name: str) -> AnyArray:
    """The same values as integers."""
    if values.dtype.kind == "f":
        fractions = values[~np.isfinite(values) | (values != np.rint(values))]
        if fractions.size:
            message = (
                f"labels {name}: {fractions[0]:g} among its values: expected whole numbers, 0 for unlabelled"
            )
            raise InputError(message)
        return values.astype(np.int64)
    return values


def _classes(values: AnyArray, mapping: Mapping[int, int] | None, name: str) -> NDArray[np.uint8]:
    """Classes of painted values."""
    found, inverse = np.unique(values, return_inverse=True)
    known = {0: 0, **(mapping if mapping is not None else {n: n for n in range(1, MAXIMUM_CLASSES + 1)})}
    strange = [value for value in found.tolist() if value not in known]
    if strange and mapping is None:
        message = (
            f"labels {name}: painted value {strange[0]}: expected classes 1, 2, 3 … up to {MAXIMUM_CLASSES} "
            "(other values are mapped to classes by --label_mapping)"
        )
        raise InputError(message)
    if strange:
        message = f"labels {name}: painted value {strange[0]} is not in --label_mapping ({strange[0]}=0 leaves it out)"
        raise InputError(message)
    table = np.array([known[value] for value in found.tolist()], np.uint8)
    return table[inverse].reshape(values.shape)


def renumbered(strokes: Iterable[Strokes], numbers: Sequence[int], name: str) -> Iterator[Strokes]:
    """The same labels with other numbers of classes.

    Parameters
    ----------
    strokes
        Of a project.
    numbers
        The new number of each class, from the first.
    name
        Of the project, for messages.

    Raises
    ------
    InputError
        If a label is of a class that the project does not have.
    """
    table = np.array([0, *numbers], np.uint8)
    for part in strokes:
        if part.labels.max(initial=0) >= len(table):
            message = f"{name}: labels of class {part.labels.max()}: it has {len(numbers)} classes"
            raise InputError(message)
        yield Strokes(part.region, table[part.labels])


def joined(strokes: Iterable[Strokes], image: Image) -> tuple[Strokes, ...]:
    """Labels of an image as the blocks of a grid, each cut to what is labelled; of two labels of a pixel the later.

    Parameters
    ----------
    strokes
        In order; they may overlap.
    image
        Which they belong to.

    Raises
    ------
    InputError
        If labels lie outside of the image, or are more than a project can hold.
    """
    tile = VOLUME_TILE if image.shape[1] > 1 else PLANE_TILE
    tiles: dict[tuple[int, ...], NDArray[np.uint8]] = {}
    for part in strokes:
        outside = any(p.stop > n for p, n in zip(part.region[:4], image.shape, strict=False))
        if outside and part.labels.any():
            message = (
                f"labels at {[(p.start, p.stop) for p in part.region[:4]]} along t, z, y, x do not lie inside of "
                f"{image.name} of shape {image.shape[:4]}: is it the image that was painted?"
            )
            raise InputError(message)
        for number in product(
            *(range(p.start // n, -(-p.stop // n)) for p, n in zip(part.region, tile, strict=True))
        ):
            _paint(tiles, number, tile, part, image.shape[:4])
    if sum(labels.size for labels in tiles.values()) > MAXIMUM_BYTES:
        message = (
            f"labels of {image.name} take more than {MAXIMUM_BYTES} bytes in a project: paint fewer pixels"
        )
        raise InputError(message)
    return tuple(_cut(number, tile, labels) for number, labels in sorted(tiles.items()))


def _paint(
    tiles: dict[tuple[int, ...], NDArray[np.uint8]],
    number: tuple[int, ...],
    tile: tuple[int, ...],
    part: Strokes,
    shape: tuple[int, ...],
) -> None:
    """Put what a part has of a tile over what the tile has."""
    origin = [k * n for k, n in zip(number, tile, strict=True)]
    low = [max(o, p.start) for o, p in zip(origin, part.region, strict=True)]
    high = [min(o + n, p.stop) for o, n, p in zip(origin, tile, part.region, strict=True)]
    here = tuple(slice(a - p.start, b - p.start) for a, b, p in zip(low, high, part.region, strict=True))
    new = part.labels[here]
    if not new.any():
        return
    if number not in tiles:
        lengths = [min(n, whole - o) for n, whole, o in zip(tile, (*shape, 1), origin, strict=True)]
        tiles[number] = np.zeros(lengths, np.uint8)
    there = tiles[number][tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))]
    np.copyto(there, new, where=new > 0)


def _cut(number: tuple[int, ...], tile: tuple[int, ...], labels: NDArray[np.uint8]) -> Strokes:
    t, *corner, _ = (k * n for k, n in zip(number, tile, strict=True))
    (z, y, x), inside = bounding_box(labels[0, ..., 0], tuple(corner))
    return Strokes(
        (slice(t, t + 1), z, y, x, slice(0, 1)), labels[(slice(None), *inside, slice(None))].copy()
    )


def counts(strokes: Iterable[Strokes]) -> NDArray[np.int64]:
    """Number of labelled pixels of each class, from 0 (unlabelled) to `MAXIMUM_CLASSES`."""
    total = np.zeros(MAXIMUM_CLASSES + 1, np.int64)
    for part in strokes:
        total += np.bincount(part.labels.ravel(), minlength=len(total))
    return total


def read_offset(text: str) -> dict[str, int]:
    """``y=100,x=20`` -> axis and number.

    Raises
    ------
    UsageError
        If it is something else.

    Examples
    --------
    >>> read_offset("z=3, y=100")
    {'z': 3, 'y': 100}
    """
    parts = [part.strip().partition("=") for part in text.split(",")]
    found = {axis: int(n) for axis, _, n in parts if axis in AXES[:4] and n.isdecimal()}
    if len(found) < len(parts):
        message = f"--label_offset {text}: expected axis and pixel, such as y=100,x=20 (axes t, z, y, x)"
        raise UsageError(message)
    return found


def read_mapping(text: str) -> dict[int, int]:
    """``10=1,20=2`` -> painted value and number of the class, 0 for none.

    Raises
    ------
    UsageError
        If it is something else.

    Examples
    --------
    >>> read_mapping("10=1,20=2,255=0")
    {10: 1, 20: 2, 255: 0}
    """
    parts = [part.strip().partition("=") for part in text.split(",")]
    known = {
        int(v): int(c) for v, _, c in parts if v.isdecimal() and c.isdecimal() and int(c) <= MAXIMUM_CLASSES
    }
    if len(known) < len(parts) or 0 in known:
        message = (
            f"--label_mapping {text}: expected painted values, each once, and their classes from 1 to "
            f"{MAXIMUM_CLASSES} (0 leaves a value out), such as 10=1,20=2"
        )
        raise UsageError(message)
    return known
