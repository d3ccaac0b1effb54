"""Read the pixel classification of an ``.ilp`` file: features, labels, forests of each stage."""

import json
import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from objclass.core import AXES, to_canonical
from objclass.errors import ProjectError
from objclass.pixels.chain import PixelChain
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.features import PixelFeatures
from objclass.project.ilp_read import (
    read_colors,
    read_export,
    read_forests,
    read_lanes,
    read_names,
)
from objclass.project.ilp_values import (
    MAXIMUM_BYTES,
    WORKFLOW_CLASSES,
    check_size,
    opened,
    stored_group,
    stored_text,
    stored_value,
)
from objclass.project.model import TrainingInput
from objclass.project.pixel_model import PIXEL_WORKFLOWS, PixelProject, PixelStage, Strokes

STAGES = ("", "01")
"""What the names of the groups of each stage end in."""


def read_pixel_project(path: str) -> PixelProject:
    """Read a pixel classification project, autocontext among them.

    Raises
    ------
    ProjectError
        If it is missing, damaged, of another workflow, or has what cannot be read without running it.
    """
    project = read_pixel_part(path)
    if project.workflow not in PIXEL_WORKFLOWS:
        message = f"{path} is of the workflow '{project.workflow}': expected {' or '.join(PIXEL_WORKFLOWS)}"
        raise ProjectError(message)
    return project


def read_pixel_part(path: str) -> PixelProject:
    """Read what a project of any workflow says of the classification of pixels.

    Raises
    ------
    ProjectError
        If it is missing or damaged, or has what cannot be read without running it.
    """
    with opened(path) as file:
        workflow = stored_text(file.get("workflowName"), "")
        workflow = WORKFLOW_CLASSES.get(workflow, workflow)
        lanes = read_lanes(file.get("Input Data"))
        suffixes = STAGES[: PIXEL_WORKFLOWS.get(workflow, 1)] if "PixelClassification" in file else ()
        if not suffixes and workflow in PIXEL_WORKFLOWS:
            stored_group(file, "PixelClassification")  # says what is missing
        return PixelProject(
            path=path,
            workflow=workflow,
            version=stored_text(file.get("ilastikVersion"), ""),
            stages=tuple(read_stage(file, suffix, lanes) for suffix in suffixes),
            export=read_export(file.get("Prediction Export")),
            lanes=lanes,
        )


def read_chain(path: str) -> PixelChain | None:
    """The pixel classifier of a project that classifies pixels and objects; None if it was saved without one.

    Raises
    ------
    ProjectError
        If it is damaged.
    """
    return read_pixel_part(path).pixels


def read_stage(file: h5py.File, suffix: str, lanes: tuple[Any, ...]) -> PixelStage:
    """One stage: the groups ``FeatureSelections`` and ``PixelClassification`` with a suffix."""
    group = stored_group(file, f"PixelClassification{suffix}")
    features = _features(stored_group(file, f"FeatureSelections{suffix}"), lanes)
    classes, colors = read_names(group.get("LabelNames")), read_colors(group.get("LabelColors"))
    if not classes:
        message = "has no classes of pixels: add labels in ilastik and save it"
        raise ProjectError(message)
    return PixelStage(
        features, classes, colors, _classifier(group, features, classes, colors), _strokes(group, lanes)
    )


def _features(group: h5py.Group, lanes: tuple[Any, ...]) -> PixelFeatures:
    filters = read_names(group.get("FeatureIds"))
    scales = np.atleast_1d(np.asarray(stored_value(group["Scales"]), float)).ravel()
    selected = np.atleast_2d(np.asarray(stored_value(group["SelectionMatrix"]))).astype(bool)
    if "ComputeIn2d" in group:
        in_planes = tuple(bool(flag) for flag in np.atleast_1d(stored_value(group["ComputeIn2d"])).ravel())
    else:  # before 1.3: planes only where there is but one
        in_planes = (all(_depth(lane.get("raw_data")) == 1 for lane in lanes),) * len(scales)
    return PixelFeatures(filters, tuple(scales.tolist()), selected, in_planes)


def _depth(given: TrainingInput | None) -> int:
    """Planes of a training image; 0 where the project does not say: then the image that is looked at decides."""
    if given is None or len(given.axes) != len(given.shape):
        return 0
    return dict(zip(given.axes, given.shape, strict=True)).get("z", 1)


def _classifier(
    group: h5py.Group,
    features: PixelFeatures,
    classes: tuple[str, ...],
    colors: tuple[tuple[int, int, int], ...],
) -> PixelClassifier | None:
    stored = group.get("ClassifierForests")
    forests = read_forests(stored)
    if not forests:
        return None
    if "known_labels" in stored:
        known = tuple(int(n) for n in np.atleast_1d(stored_value(stored["known_labels"])).ravel())
    else:
        known = tuple(range(1, forests[0].classes + 1))
    return PixelClassifier(features, classes, tuple(forests), known, colors)


def _strokes(group: h5py.Group, lanes: tuple[Any, ...]) -> dict[int, list[Strokes]]:
    """Painted labels of each lane."""
    sets = group.get("LabelSets")
    if not isinstance(sets, h5py.Group):
        return {}
    found = {}
    for number, name in enumerate(sorted(sets)):
        blocks = [sets[name][block] for block in sorted(sets[name])]
        check_size(blocks)
        raw = lanes[number].get("raw_data") if number < len(lanes) else None
        found[number] = list(_blocks(blocks, raw))
    return found


def _blocks(blocks: list[Any], raw: TrainingInput | None) -> Iterator[Strokes]:
    """The blocks of painted labels; those of older versions do not say their axes, which are the image's."""
    for block in blocks:
        bounds = re.findall(r"(\d+):(\d+)", _text(block.attrs["blockSlice"]))
        axes = _block_axes(block, raw, len(bounds))
        labels = np.asarray(stored_value(block, MAXIMUM_BYTES))
        if labels.ndim != len(bounds) or len(axes) != len(bounds):
            message = f"{block.name}: labels of {labels.ndim} axes at {len(bounds)} bounds with axes '{axes}'"
            raise ProjectError(message)
        place = {axis: slice(int(start), int(stop)) for axis, (start, stop) in zip(axes, bounds, strict=True)}
        t, z, y, x, c = (place.get(axis, slice(0, 1)) for axis in AXES)
        yield Strokes((t, z, y, x, c), to_canonical(labels.astype(np.uint8), axes))


def _block_axes(block: Any, raw: TrainingInput | None, count: int) -> str:
    """Axes of a block: as it says, else those of the image, with or without those of length 1."""
    if "axistags" in block.attrs:
        return "".join(axis["key"] for axis in json.loads(_text(block.attrs["axistags"]))["axes"])
    axes, shape = (raw.axes, raw.shape) if raw is not None else ("", ())
    long = "".join(axis for axis, n in zip(axes, shape, strict=False) if n > 1 or axis in "xy")
    candidates = (f"{letters.replace('c', '')}c" for letters in (axes, long, "yx", "zyx", "tzyx"))
    return next((letters for letters in candidates if len(letters) == count), "txyzc")


def _text(attribute: Any) -> str:
    return attribute.decode("utf-8", "replace") if isinstance(attribute, bytes) else str(attribute)
