"""Profiles: names and order of the columns of tables, as different programs know them.

Every profile but ``ilastik`` has the columns of ``tidy``; what has no name in a profile keeps its tidy one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from objclass import registry
from objclass.core import Lane
from objclass.export.columns import Column, Layout, ilastik_columns, layout_of
from objclass.export.tidy import SIZE, class_suffixes, distinct, tidy_columns
from objclass.pipeline.plan import Plan


@dataclass(frozen=True)
class Profile:
    """Names and order of the columns of a table.

    Parameters
    ----------
    name
        As in ``--table_columns``.
    columns
        Function of the layout of a table; returns its columns.
    """

    name: str
    columns: Callable[[Layout], Sequence[Column]]


def columns_of(lane: Lane, plan: Plan) -> Sequence[Column]:
    """The columns of the table of a lane."""
    return _columns(plan.profile, layout_of(lane, plan))


@lru_cache(maxsize=16)
def _columns(name: str, layout: Layout) -> Sequence[Column]:
    """The columns of a profile: many lanes have the same."""
    profile: Profile = registry.resolve(registry.TABLE_PROFILES[name])
    return tuple(profile.columns(layout))


def _renamed(columns: Iterable[Column], names: Mapping[str, str]) -> list[Column]:
    """The columns under other names, each of which the first of several gets."""
    columns = list(columns)
    owners: dict[str, str] = {}
    for column in columns:
        owners.setdefault(names.get(column.name, ""), column.name)
    own = {column: name for name, column in owners.items() if name}
    others = [column.name for column in columns if column.name not in own]
    final = dict(zip([*own, *others], distinct([*own.values(), *others]), strict=True))
    return [replace(column, name=final[column.name]) for column in columns]


def _with_first(columns: Iterable[Column], *names: str) -> list[Column]:
    """The columns, those of some names first."""
    by_name = {column.name: column for column in columns}
    return [*(by_name.pop(name) for name in names), *by_name.values()]


def _skimage(layout: Layout) -> list[Column]:
    """The names of ``regionprops_table``, its axes in the order (z,) y, x."""
    columns = tidy_columns(layout, "zyx")
    return _with_first(_renamed(columns, {c.name: c.alias for c in columns if c.alias}), "label")


def _mobie(layout: Layout) -> list[Column]:
    """The default columns of MoBIE, in µm where the pixel size is known."""
    unit = "px" if layout.size is None else "um"
    names = {"label": "label_id", "frame": "timepoint", SIZE[layout.ndim]: "n_pixels"}
    for axis in "xyz"[: layout.ndim]:
        names[f"centroid_{axis}_{unit}"] = f"anchor_{axis}"
        names[f"bbox_{axis}min_{unit}"] = f"bb_min_{axis}"
        names[f"bbox_{axis}max_{unit}"] = f"bb_max_{axis}"
    return _with_first(_renamed(tidy_columns(layout), names), "label_id")


CELLPROFILER = {
    "area_convex": "AreaShape_ConvexArea",
    "axis_major_length": "AreaShape_MajorAxisLength",
    "axis_minor_length": "AreaShape_MinorAxisLength",
    "eccentricity": "AreaShape_Eccentricity",
    "equivalent_diameter_area": "AreaShape_EquivalentDiameter",
    "euler_number": "AreaShape_EulerNumber",
    "extent": "AreaShape_Extent",
    "inertia_tensor": "AreaShape_InertiaTensor",
    "inertia_tensor_eigvals": "AreaShape_InertiaTensorEigenvalues",
    "moments": "AreaShape_SpatialMoment",
    "moments_central": "AreaShape_CentralMoment",
    "moments_hu": "AreaShape_HuMoment",
    "moments_normalized": "AreaShape_NormalizedMoment",
    "perimeter": "AreaShape_Perimeter",
    "solidity": "AreaShape_Solidity",
    "intensity_max": "Intensity_MaxIntensity",
    "intensity_mean": "Intensity_MeanIntensity",
    "intensity_median": "Intensity_MedianIntensity",
    "intensity_min": "Intensity_MinIntensity",
    "intensity_std": "Intensity_StdIntensity",
}
"""scikit-image's name of a feature -> CellProfiler's."""


def _cellprofiler(layout: Layout) -> list[Column]:
    """The names of CellProfiler's tables of objects."""
    in_3d = layout.ndim == 3
    names = {
        "label": "ObjectNumber",
        "frame": "Metadata_T",
        "class": "Classifier_Class",
        SIZE[layout.ndim]: "AreaShape_Volume" if in_3d else "AreaShape_Area",
    }
    names |= {
        f"p_{suffix}": f"Classifier_Probability_{suffix}" for suffix in class_suffixes(layout.classes or ())
    }
    for axis in "xyz"[: layout.ndim]:
        names[f"centroid_{axis}_px"] = f"Location_Center_{axis.upper()}"
        names[f"bbox_{axis}min_px"] = f"AreaShape_BoundingBoxMinimum_{axis.upper()}"
        names[f"bbox_{axis}max_px"] = f"AreaShape_BoundingBoxMaximum_{axis.upper()}"
    columns = tidy_columns(layout)
    metadata = columns[1 : 1 + len(layout.metadata)]
    for column in metadata:
        own = column.name.removeprefix("metadata_")
        names[column.name] = f"Metadata_{own[:1].upper()}{own[1:]}"
    box = {"area_bbox": f"AreaShape_BoundingBox{'Volume' if in_3d else 'Area'}"}
    for column in columns:
        title, *index = column.alias.split("-")
        if name := (CELLPROFILER | box).get(title):
            index = index or ["0"] * title.startswith("intensity")
            names[column.name] = "_".join([name, *index])
    image = Column(
        "ImageNumber",
        lambda rows: rows.table.timestep + rows.number,
        "Number of the time step among those of all images of the run, from 1",
    )
    return [image, *_with_first(_renamed(columns, names), "ObjectNumber")]


NUMBERED = ("cellprofiler",)
"""Profiles that number the time steps of all images."""

ILASTIK = Profile("ilastik", ilastik_columns)
TIDY = Profile("tidy", tidy_columns)
SKIMAGE = Profile("skimage", _skimage)
CELLPROFILER_TABLE = Profile("cellprofiler", _cellprofiler)
MOBIE = Profile("mobie", _mobie)
