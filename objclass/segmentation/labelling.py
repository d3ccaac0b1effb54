"""Connected components of a segmentation, and the ids of a label image, numbered by first voxel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, Image, Objects
from objclass.errors import ImageError, LaneError
from objclass.images.blockwise import slab_reader
from objclass.segmentation.label_store import label_image
from objclass.segmentation.labeller import labelled, labellings
from objclass.segmentation.sized import SizedComponents


def segmented(image: Image, t: int, context: Context) -> Objects:
    """Components of a segmentation."""
    found = components_of(image, t, context)
    root = found.components.roots()
    return found.objects(root, np.ones(len(root), bool))


def components_of(image: Image, t: int, context: Context) -> SizedComponents:
    """Components of a segmentation, not yet numbered."""
    found = SizedComponents(image.shape[1:4], context)
    read = slab_reader(image, t, slice(0, 1), context)

    def cut(number: int) -> tuple[Objects, Any]:
        values = integral(read(found.cut[number].within(found.shape))[..., 0], image.name)
        with context.timings.on("label"):
            part = label(values, found.work, found.labels.room(number))
        found.labels.write(number, part.labels)
        return part, values_of(part, values)

    for part, values in context.ordered(cut, range(len(found.cut))):
        found.add(part, values)
    return found


def values_of(part: Objects, values: AnyArray) -> AnyArray:
    """The value of each label of a slab, from 0 on."""
    top = values.max()
    if np.count_nonzero(values == top) == np.count_nonzero(values):
        return np.full(part.count + 1, top)
    found = np.empty(part.count + 1, values.dtype)
    found[part.labels.ravel()] = values.ravel()
    return found


def integral(values: AnyArray, name: str) -> AnyArray:
    """The values with an integer dtype.

    Raises
    ------
    LaneError
        If a value is a fraction or not finite.
    """
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53)
    if not whole.all():
        message = (
            f"{name}: value {values[~whole][0]:g}: expected a segmentation or label image "
            "of whole numbers (is it a probability map? then use --prediction_maps)"
        )
        raise LaneError(message)
    return values.astype(np.int64)


def check_first_block(image: Image) -> None:
    """Read one plane of a float segmentation, to refuse a probability map before the run."""
    if image.dtype.kind == "f":
        _, _, y, x, _ = image.shape
        one = slice(0, 1)
        try:
            integral(image.read((one, one, slice(0, y), slice(0, x), one)), image.name)
        except LaneError as fault:
            raise ImageError(str(fault)) from None


def label(values: AnyArray, work: int = 0, room: NDArray[np.uint32] | None = None) -> Objects:
    """Connected components of equal non-zero value, by direct neighbours.

    Parameters
    ----------
    values
        Axes (z, y, x).
    work
        Number of voxels that the run labels, to choose the formulation.
    room
        A contiguous array for the result; None: a new one.
    """
    values = _in_32_bits(values)
    compiled = labellings[values.itemsize].choose(max(work, values.size))
    if compiled:
        labels = np.empty(values.shape, np.uint32) if room is None else room
        return Objects(labels, labelled(compiled, values, labels))
    import cc3d

    flat = np.ascontiguousarray(values[0] if values.shape[0] == 1 else values)
    if not flat.flags.writeable:  # cc3d accepts no others
        flat = flat.copy()
    found: Any = cc3d.connected_components(
        flat, connectivity=4 if flat.ndim == 2 else 6, return_N=True, out_dtype=np.uint32
    )
    labels, count = found
    return Objects(labels.reshape(values.shape), int(count))


def _in_32_bits(values: AnyArray) -> AnyArray:
    """What is as good as the values for telling them apart, in one or four bytes each."""
    if values.itemsize == 8 and (values.min() < 0 or values.max() >= 1 << 32):
        kinds, ranks = np.unique(values, return_inverse=True)
        return ((ranks + 1) * (kinds != 0)[ranks]).astype(np.uint32).reshape(values.shape)
    return values if values.itemsize in labellings else values.astype(np.uint32)


def renumbered(image: Image, t: int, context: Context) -> Objects:
    """The ids of a label image, numbered by first occurrence; `Objects.original` holds the original ids."""
    shape = image.shape[1:4]
    cut = context.limits.slabs(shape)
    labels = label_image(shape, cut, context)
    read = slab_reader(image, t, slice(0, 1), context)

    def look(number: int) -> AnyArray:
        values = integral(read(cut[number].within(shape))[..., 0], image.name)
        with context.timings.on("label"):
            part = relabel(values, image.name)
        labels.write(number, part.labels)
        assert part.original is not None
        return part.original

    known: AnyArray = np.zeros(0, np.int64)  # sorted
    numbers = np.zeros(0, np.uint32)
    found: list[AnyArray] = []
    tables: list[NDArray[np.uint32]] = []
    for ids in context.ordered(look, range(len(cut))):
        new = ids[~np.isin(ids, known)]
        first = len(known) + 1
        known = np.concatenate([known.astype(new.dtype, copy=False), new])
        numbers = np.concatenate([numbers, np.arange(first, first + len(new), dtype=np.uint32)])
        order = np.argsort(known)
        known, numbers = known[order], numbers[order]
        found.append(new)
        tables.append(np.concatenate([np.zeros(1, np.uint32), numbers[np.searchsorted(known, ids)]]))
    return Objects(labels.finish(tables), len(known), np.concatenate(found))


def relabel(values: AnyArray, name: str = "label image") -> Objects:
    """Number the ids of a label image (z, y, x) by first occurrence; keep the original ids."""
    if values.dtype.kind == "i" and values.min() < 0:
        message = (
            f"{name}: id {values.min()} in a label image: expected 0 for background, positive ids for objects"
        )
        raise LaneError(message)
    flat = values.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    # unique values of runs, which are far fewer than voxels
    ids, first, inverse = np.unique(flat[starts], return_index=True, return_inverse=True)
    order = np.argsort(first)
    order = order[ids[order] != 0]
    numbers = np.zeros(len(ids), np.uint32)
    numbers[order] = np.arange(1, len(order) + 1)
    lengths = np.diff(starts, append=len(flat))
    labels = np.repeat(numbers[inverse], lengths).reshape(values.shape)
    return Objects(labels, len(order), ids[order])
