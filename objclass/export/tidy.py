"""The profile ``tidy``: names of lower-case words with units, for databases, R and Python.

The name of a feature derives from its definition: the words of its name, the axis or number of its values, the unit, and
after two underscores the channel. All is in pixels; where the pixel size is known, what can be converted exactly has a
column in µm besides.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import combinations, product
from math import prod
from unicodedata import combining, normalize

import numpy as np

from objclass.core import AnyArray, FloatArray
from objclass.export.columns import (
    Column,
    Layout,
    Rows,
    class_names,
    given_of,
    metadata_of,
    novelty_of,
    number_of,
    probability_of,
    unit_of,
    user_labels,
)
from objclass.features.contract import Feature, Key, feature_set
from objclass.features.sets.regionprops import axis_lengths, principal_variances, stretched_moments

MAXIMUM_LENGTH = 63
"""Characters of a name: what databases hold."""

PLACES = "Default features"
"""The set of size, centre and bounding box, which are always measured."""

SIZE = {2: "area_px", 3: "volume_vox"}
"""Dimensions -> the column of the number of pixels."""

REPEATED: frozenset[Key] = frozenset(
    (set_name, name)
    for set_name, names in {
        PLACES: ("Count", "Coord<Minimum>", "Coord<Maximum>", "RegionCenter"),
        "Standard Object Features": ("Count", "Coord<Minimum>", "Coord<Maximum>", "RegionCenter"),
        "regionprops": ("area", "bbox", "centroid"),
    }.items()
    for name in names
)
"""Features that are the size, centre or bounding box, which every table has already."""

INERTIA: Key = ("regionprops", "inertia_tensor")
"""What lengths along principal axes are computed from if voxels are not cubes."""

MOMENTS: dict[Key, Callable[[FloatArray], FloatArray]] = {
    ("Standard Object Features", "RegionRadii"): lambda moments: np.sqrt(principal_variances(moments)),
    ("regionprops", "axis_major_length"): lambda moments: axis_lengths(moments)[:, :1],
    ("regionprops", "axis_minor_length"): lambda moments: axis_lengths(moments)[:, -1:],
}
"""Lengths along principal axes, from physical moments of inertia."""

AS_IN_SCIKIT_IMAGE: dict[Key, str] = {
    ("Standard Object Features", "Maximum"): "intensity_max",
    ("Standard Object Features", "Mean"): "intensity_mean",
    ("Standard Object Features", "Minimum"): "intensity_min",
}
"""Features of ilastik that scikit-image has, too."""


CHANNELS = ("c", "pairs")
"""Parts of the shape of a feature that stand for channels."""

COORDINATES = (
    (
        "centroid_{}",
        "centroid",
        "RegionCenter",
        "Mean coordinate {}, from 0 at the centre of the first pixel",
    ),
    ("bbox_{}min", "bbox", "Coord<Minimum>", "Coordinate {} of the first pixel, from 0"),
    ("bbox_{}max", "bbox", "Coord<Maximum>", "Coordinate {} after that of the last pixel"),
)
"""Name of a column by axis, its name in scikit-image, feature, definition."""

NOVELTY = (
    "Distance to the nearest object of the training, in units of their own distances: above 1 it is novel"
)
"""Definition of the column."""

# ---------------------------------------------------------------------------- names


def words(text: str) -> str:
    """The words of a text, lower case, joined by underscores; ASCII letters and digits only.

    Examples
    --------
    >>> words("DefectVolumeMean"), words("Coord<Principal<PowerSum<2>>>"), words("Größe, µm²")
    ('defect_volume_mean', 'coord_principal_power_sum_2', 'grosse_um2')
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    plain = "".join(letter for letter in normalize("NFKD", apart.casefold()) if not combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", plain.replace("μ", "u")).strip("_")


def joined(prefix: str, name: str) -> str:
    """Two parts of a name; words at the end of the first that begin the second one are not repeated.

    Examples
    --------
    >>> joined("convex_hull", "hull_center"), joined("skeleton", "diameter"), joined("", "mean")
    ('convex_hull_center', 'skeleton_diameter', 'mean')
    """
    first, second = prefix.split("_"), name.split("_")
    shared = next((n for n in range(len(second), 0, -1) if first[-n:] == second[:n]), 0)
    return "_".join(filter(None, [*first, *second[shared:]]))


def shortened(name: str) -> str:
    """The name; a longer one than databases hold ends in a digest of all of it."""
    if len(name) <= MAXIMUM_LENGTH:
        return name
    digest = sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MAXIMUM_LENGTH - len(digest) - 1]}_{digest}"


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Names that differ whatever their case, also from those that are taken: the second of two gets a number.

    Examples
    --------
    >>> distinct(["a", "A", "b", "a"])
    ['a', 'A_2', 'b', 'a_3']
    """
    used, found = {name.casefold() for name in taken}, []
    for name in names:
        number, chosen = 1, shortened(name)
        while chosen.casefold() in used:
            number += 1
            chosen = shortened(f"{name}_{number}")
        used.add(chosen.casefold())
        found.append(chosen)
    return found


def class_suffixes(classes: Sequence[str]) -> list[str]:
    """What names of columns call each class: its words, or its number if it has none."""
    return distinct(words(name) or str(k) for k, name in enumerate(classes, 1))


def base_name(feature: Feature) -> str:
    """The name of a feature, without axis, unit and channel."""
    name = words(feature.title if feature.hyphen else feature.name)
    prefix = words(feature.set_name) if feature.prefix is None else feature.prefix
    is_of_values = feature.looks_at_pixels and not re.search("coord|weighted|region", name)
    return joined("intensity" if is_of_values and not prefix else prefix, name)


def _unit_suffix(unit: str) -> str:
    """The unit at the end of a name; intensities have none."""
    return "" if unit.startswith("intensity") else words(unit)


# ---------------------------------------------------------------------------- columns


def tidy_columns(layout: Layout, axes: str = "xyz") -> list[Column]:
    """The profile ``tidy``: image, metadata, ids, classes, places and size, in pixels and µm, features.

    Parameters
    ----------
    layout
        What decides the columns.
    axes
        The order of the axes of centre and bounding box.
    """
    own = [*_ids(), *_classes(layout), *_given(layout), *_places(layout, axes), *_features(layout)]
    names = distinct((column.name for column in own), taken=["image"])
    own = [replace(column, name=name) for column, name in zip(own, names, strict=True)]
    image = Column(
        "image",
        lambda rows: rows.repeated(rows.image),
        "Image: its nickname, or the shortest end of its path that no other image has",
    )
    return [image, *_metadata(layout, ["image", *names]), *own]


def _metadata(layout: Layout, taken: Sequence[str]) -> Iterator[Column]:
    """Columns of metadata; one that has the name of another column is called ``metadata_…``."""
    plain = [words(name) for name in layout.metadata]
    wanted = [f"metadata_{name}".strip("_") if not name or name in taken else name for name in plain]
    for name, column in zip(layout.metadata, distinct(wanted, taken), strict=True):
        yield Column(column, partial(metadata_of, name=name), f"As given for the image: {name}")


def _ids() -> Iterator[Column]:
    yield Column("frame", lambda rows: rows.table.timestep, "Time step, from 0")
    yield Column(
        "label",
        lambda rows: rows.table.label,
        "Value of the object's pixels in the image Object Identities of that time step",
    )


def _classes(layout: Layout) -> Iterator[Column]:
    if layout.classes is None:
        return
    classes = layout.classes
    yield Column("class", partial(class_names, classes=classes, none=""), "The most probable class")
    yield Column("class_id", lambda rows: rows.predicted.classes, "Number of that class, from 1")
    for k, (name, suffix) in enumerate(zip(classes, class_suffixes(classes), strict=True)):
        yield Column(
            f"p_{suffix}", partial(probability_of, k=k), f"Probability of the class number {k + 1}: {name}"
        )
    yield Column(
        "confidence",
        lambda rows: rows.predicted.probabilities.max(axis=1, initial=0),
        "Probability of the most probable class",
    )
    yield Column(
        "uncertainty",
        lambda rows: rows.predicted.uncertainty,
        "1 less the gap between the two most probable classes: 0 is sure, 1 is a tie",
    )
    if layout.has_novelty:
        yield Column("novelty", novelty_of, NOVELTY)
    yield Column(
        "user_label",
        partial(user_labels, classes=classes, none=""),
        "Class that a user gave it; empty for none",
    )


def _given(layout: Layout) -> Iterator[Column]:
    definitions = {"original_oid": "Id of the object in the label image that was given"}
    for name in layout.given:
        definition = definitions.get(name, "Value of the atlas at the rounded centre of the object")
        base, _, channel = name.partition("_") if name not in definitions else (name, "", "")
        yield Column(f"{words(base)}{channel and f'__{channel}'}", partial(given_of, name=name), definition)


def _places(layout: Layout, axes: str) -> Iterator[Column]:
    """Centre, bounding box and size in pixels, then those in µm."""
    in_pixels = [*_coordinates(layout, axes), _size(layout)]
    yield from in_pixels
    if layout.size is None:
        return
    extent = dict(zip("zyx"[-layout.ndim :], layout.size.spacing(layout.ndim), strict=True))
    for column in in_pixels[:-1]:
        axis = column.name.split("_")[1][0]  # centroid_x_px, bbox_xmin_px
        yield _scaled(column, column.name.removesuffix("_px") + "_um", extent[axis], "um")
    name, unit = ("area_um2", "um2") if layout.ndim == 2 else ("volume_um3", "um3")
    yield _scaled(in_pixels[-1], name, prod(extent.values()), unit)


def _coordinates(layout: Layout, axes: str) -> Iterator[Column]:
    order = "zyx"[-layout.ndim :]
    for name, alias, feature, definition in COORDINATES:
        for axis in (axis for axis in axes if axis in order):
            is_end = feature == "Coord<Maximum>"
            number = order.index(axis) + is_end * layout.ndim
            whole = feature != "RegionCenter"
            yield Column(
                f"{name}_px".format(axis),
                partial(_place, key=(PLACES, feature), place="xyz".index(axis), whole=whole),
                definition.format(axis),
                "px",
                (3,) if axis == "z" else (2, 3),
                f"{PLACES}: {feature}",
                f"{alias}-{number}",
            )


def _size(layout: Layout) -> Column:
    name = SIZE[layout.ndim]
    of = partial(_place, key=(PLACES, "Count"), place=0, whole=True)
    what = "pixels" if layout.ndim == 2 else "voxels"
    return Column(
        name,
        of,
        f"Size: number of {what}",
        name.split("_")[1],
        (layout.ndim,),
        source=f"{PLACES}: Count",
        alias="area",
    )


def _place(rows: Rows, key: Key, place: int, *, whole: bool) -> AnyArray:
    """A number of a default feature, which are float64; as an integer if it is ``whole``."""
    values = number_of(rows, key, place)
    return values.astype(np.int64) if whole else values


# ---------------------------------------------------------------------------- features


def _features(layout: Layout) -> Iterator[Column]:
    for feature in layout.features:
        if feature.key not in REPEATED:
            in_pixels = list(_of_feature(feature, layout))
            yield from (column for column, _ in in_pixels)
            yield from _physical(feature, in_pixels, layout)


def _of_feature(feature: Feature, layout: Layout) -> Iterator[tuple[Column, str]]:
    """The columns of a feature; each with the axis of its value, ``""`` where there is not one."""
    base, unit = base_name(feature), unit_of(feature, layout)
    aliases = _aliases(feature, layout)
    definition = " ".join(feature.definition.partition("\n\n")[0].split()).removesuffix(".")
    for place, labels in enumerate(product(*(_labels(part, feature, layout) for part in feature.shape))):
        parts = list(zip(feature.shape, labels, strict=True))
        inner = [label for part, label in parts if part not in CHANNELS]
        channel = "_".join(label for part, label in parts if part in CHANNELS)
        name = "_".join(filter(None, [base, *inner, _unit_suffix(unit)]))
        axes = [label[0] for part, label in parts if part in ("axis", "2d")]
        column = Column(
            f"{name}__{channel}" if channel else name,
            partial(number_of, key=feature.key, place=place),
            f"{definition} ({_which(parts)})" if parts else definition,
            unit,
            feature.dims,
            f"{feature.set_name}: {feature.name}",
            aliases[place] if aliases else "",
        )
        yield column, axes[0] if len(axes) == 1 else ""


def _labels(part: str | int, feature: Feature, layout: Layout) -> list[str]:
    """What the numbers along one part of the shape of a feature are called."""
    n = layout.ndim
    letters = list("zyx"[-n:] if feature.hyphen else "xyz"[:n])
    if part == "axis":
        return letters
    if part == "2d":
        return [f"{axis}{end}" for end in ("min", "max") for axis in letters]
    if part == "4^d":
        return ["_".join(map(str, index)) for index in np.ndindex((4,) * n)]
    if part == "pairs":
        return [f"{a}_{b}" for a, b in combinations(range(layout.channels), 2)]
    count = {"d": n, "c": layout.channels}.get(part, 0) if isinstance(part, str) else part
    return [str(k) for k in range(count)]


def _which(parts: Sequence[tuple[str | int, str]]) -> str:
    """Which of the numbers of a feature: axis x, channel 0 …"""
    kinds = {
        "axis": "axis",
        "2d": "bound",
        "d": "principal axis",
        "4^d": "powers",
        "c": "channel",
        "pairs": "channels",
    }
    return ", ".join(f"{kinds.get(str(part), 'number')} {label.replace('_', ' ')}" for part, label in parts)


def _aliases(feature: Feature, layout: Layout) -> list[str]:
    """The names of the columns of a feature in scikit-image, if it has it."""
    title = AS_IN_SCIKIT_IMAGE.get(feature.key)
    if title is not None:
        feature = replace(feature, title=title, hyphen=True)
    is_known = title is not None or feature.set_name == "regionprops"
    return feature.columns(layout.ndim, layout.channels) if is_known else []


# ---------------------------------------------------------------------------- µm


def _physical(feature: Feature, columns: Sequence[tuple[Column, str]], layout: Layout) -> Iterator[Column]:
    """Columns in µm for lengths and sizes, where they follow exactly from what is measured."""
    if layout.size is None or feature.unit not in ("px", "pixels"):
        return
    n, spacing = layout.ndim, layout.size.spacing(layout.ndim)
    extent = dict(zip("zyx"[-n:], spacing, strict=True))
    side = layout.size.side(n)
    unit = "um" if feature.unit == "px" else f"um{n}"
    for place, (column, axis) in enumerate(columns):
        name, _, channel = column.name.partition("__")
        name = f"{name.removesuffix(column.unit)}{unit}{channel and f'__{channel}'}"
        factor = side
        if feature.unit == "pixels":
            factor = prod(spacing)
        elif axis:
            factor = extent[axis]
        elif feature.key == ("regionprops", "equivalent_diameter_area"):
            factor = side or prod(spacing) ** (1 / n)
        if factor is not None:
            yield _scaled(column, name, factor, unit)
        elif feature.key in MOMENTS:
            of = partial(_from_moments, key=feature.key, spacing=spacing, place=place)
            yield replace(_scaled(column, name, 1.0, unit), of=of)


def _scaled(column: Column, name: str, factor: float, unit: str) -> Column:
    """A column in other units."""
    definition = f"{column.definition}; in {unit}, by the pixel size"
    return replace(
        column, name=name, of=partial(_multiplied, column=column, factor=factor), definition=definition, unit=unit, alias=""
    )  # fmt: skip


def _multiplied(rows: Rows, column: Column, factor: float) -> AnyArray:
    return column.of(rows).astype(np.float64) * factor


def _from_moments(rows: Rows, key: Key, spacing: Sequence[float], place: int) -> AnyArray:
    """A length along a principal axis in physical space."""
    d = len(spacing)
    tensor = rows.table.values[INERTIA].reshape(-1, d, d)
    return MOMENTS[key](stretched_moments(tensor, np.array(spacing)))[:, place]


def needed_besides(layout: Layout) -> list[Feature]:
    """Features that physical columns are computed from, and that are not shown."""
    is_cubic = layout.size is None or layout.size.side(layout.ndim) is not None
    found = feature_set(INERTIA[0])
    assert found is not None
    return [] if is_cubic or not any(f.key in MOMENTS for f in layout.features) else [found[INERTIA[1]]]
