"""The contents of an ``.ilp`` file of any workflow."""

import os
import re
from collections.abc import Callable
from glob import has_magic, iglob
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from objclass.errors import InputError, ProjectError, UsageError
from objclass.features.contract import Key
from objclass.forest import Forest
from objclass.images.paths import split_stack
from objclass.pixels.features import FILTERS
from objclass.project.ilp_own import GROUP, Own, outdated, read_own
from objclass.project.ilp_pixels import STAGES, read_stage
from objclass.project.ilp_read import (
    read_colors,
    read_export,
    read_features,
    read_forest,
    read_labels,
    read_lanes,
    read_names,
    read_table,
    read_threshold,
)
from objclass.project.ilp_values import (
    DAMAGE,
    MAXIMUM_BYTES,
    WORKFLOW_CLASSES,
    check_size,
    opened,
    reason,
    stored_group,
    stored_text,
    stored_value,
)
from objclass.project.model import WORKFLOWS
from objclass.project.pixel_model import PixelStage


def inspect_project(path: str) -> dict[str, Any]:
    """The contents of a project of any workflow, as plain values; a part that cannot be read has the reason.

    Raises
    ------
    ProjectError
        If the file is not an HDF5 file.
    """
    with opened(path) as file:
        workflow = stored_text(file.get("workflowName"), "")
        workflow = WORKFLOW_CLASSES.get(workflow, workflow)
        contents: dict[str, Any] = {
            "path": path,
            "workflow": workflow,
            "ilastik_version": stored_text(file.get("ilastikVersion"), ""),
            "parts": sorted(file),
        }
        for name, read in _PARTS.items():
            contents[name] = _tried(read, file, WORKFLOWS.get(workflow, ""))
        return {name: _encodable(part) for name, part in contents.items()}


def _encodable(value: Any) -> Any:
    """The value with question marks for bytes that are not UTF-8, which h5py returns as surrogates."""
    if isinstance(value, bytes):  # the name of a member that is not UTF-8
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list | tuple) else value


def _tried(read: Callable[[h5py.File, str], Any], file: h5py.File, role: str) -> Any:
    """A part of a project, or the reason why it cannot be read."""
    try:
        return read(file, role)
    except (InputError, ProjectError, UsageError) as fault:
        return {"fault": str(fault)}
    except (OSError, RecursionError, *DAMAGE) as fault:
        return {"fault": reason(fault)}


def _report_classes(file: h5py.File, _: str) -> list[dict[str, Any]]:
    """Name, colour, labels (lane -> time step -> objects) and strokes (lane -> pixels) of each class."""
    for applet in ("ObjectClassification", "PixelClassification"):
        if applet in file:
            group = file[applet]
            names, colors = read_names(group.get("LabelNames")), read_colors(group.get("LabelColors"))
            labels = read_labels(group.get("LabelInputs"))
            strokes = _strokes(group.get("LabelSets"))
            return [
                {
                    "name": name,
                    "color": list(colors[k - 1]) if k <= len(colors) else None,
                    "labels": {
                        lane: {t: int((given == k).sum()) for t, given in steps.items()}
                        for lane, steps in labels.items()
                    },
                    "strokes": {lane: int(counts[k]) for lane, counts in strokes.items()},
                }
                for k, name in enumerate(names, 1)
            ]
    return []


def _strokes(group: Any) -> dict[int, Any]:
    """Painted pixels of each class, by lane; index 0 counts the others."""
    if not isinstance(group, h5py.Group):
        return {}
    check_size([blocks[name] for lane in group for blocks in [stored_group(group, lane)] for name in blocks])
    return {
        number: sum(
            (np.bincount(np.ravel(stored_value(blocks[name], MAXIMUM_BYTES)).astype(np.uint8), minlength=256)
             for name in blocks),
            np.zeros(256, int),
        )
        for number, lane in enumerate(sorted(group)) for blocks in [stored_group(group, lane)]
    }  # fmt: skip


def _report_threshold(file: h5py.File, role: str) -> dict[str, Any] | None:
    if role != "prediction_maps" and "ThresholdTwoLevels" not in file:
        return None
    return vars(read_threshold(file.get("ThresholdTwoLevels"), "prediction_maps"))


def _report_features(file: h5py.File, _: str) -> dict[str, Any]:
    computed: tuple[Key, ...] = ()
    margin: tuple[int, ...] = ()
    if "ObjectExtraction/Features" in file:
        computed, margin = read_features(stored_group(file, "ObjectExtraction/Features"))
    selected: tuple[Key, ...] = ()
    if "ObjectClassification/SelectedFeatures" in file:
        selected = read_features(stored_group(file, "ObjectClassification/SelectedFeatures"))[0]
    return {
        "computed": _by_plugin(computed),
        "selected": _by_plugin(selected),
        "margin": list(margin),
    }


def _by_plugin(keys: tuple[Key, ...]) -> dict[str, list[str]]:
    return {plugin: [n for p, n in keys if p == plugin] for plugin in dict.fromkeys(p for p, _ in keys)}


def _report_forest(file: h5py.File, _: str) -> dict[str, int] | None:
    forest = read_forest(file.get("ObjectClassification/ClassifierForests"))
    if forest is None:
        return None
    return {
        "trees": forest.trees, "columns": forest.columns, "classes": forest.classes, "depth": forest.depth
    }  # fmt: skip


def _report_export(file: h5py.File, _: str) -> dict[str, Any]:
    group = file.get("Object Information Export", file.get("Prediction Export"))
    return {name: value for name, value in vars(read_export(group)).items() if value is not None}


def _report_table(file: h5py.File, _: str) -> dict[str, Any] | None:
    table = read_table(file.get("ObjectClassification/ExportSettings"))
    return vars(table) if table is not None else None


def _report_lanes(file: h5py.File, _: str) -> list[dict[str, Any]]:
    """The training images, and whether they are found (in the project, or relative to it)."""
    folder = Path(file.filename).resolve().parent
    return [
        {
            role: {
                "path": given.path,
                "axes": given.axes,
                "shape": list(given.shape),
                "found": given.inside in file if given.inside else _found(folder / _file_part(given.path)),
            }
            for role, given in lane.items()
        }
        for lane in read_lanes(file.get("Input Data"))
    ]


def _found(path: Path) -> bool:
    """Whether the file exists; wildcards are expanded in its name only: those in folders can take forever."""
    if has_magic(path.name) and not has_magic(str(path.parent)):
        return any(iglob(str(path)))
    return os.path.exists(path)


def _file_part(path: str) -> str:
    """The path without the dataset of an HDF5 file; of several paths the first."""
    first = split_stack(path)[0]
    return re.sub(r"(\.(?:h5|hdf5|ilp|n5|npz))/.*", r"\1", first)


def _report_training(file: h5py.File, _: str) -> dict[str, Any] | None:
    """What objclass stored: facts, numbers of labelled objects by class and image, and whether they still fit."""
    if GROUP not in file:
        return None
    own = read_own(file)
    found: dict[str, Any] = {}
    if own.training is not None:
        table, group = own.training, stored_group(file, "ObjectClassification")
        selected = read_features(stored_group(group, "SelectedFeatures"))[0]
        labels = read_labels(group.get("LabelInputs"))
        found = {
            "objects": len(table),
            "labels": {
                image: {
                    name: int(((table.image == n) & (table.classes == k)).sum())
                    for k, name in enumerate(table.names, 1)
                }
                for n, image in enumerate(table.images)
            },
            "outdated": outdated(own, read_names(group.get("LabelNames")), selected, labels),
            "predictions": _compared(own, read_forest(group.get("ClassifierForests"))),
        }
    if (model := own.novelty) is not None:
        shape = {"references": len(model.references), "columns": len(model.columns)}
        found["novelty"] = shape | {"threshold": model.threshold}
    return {"facts": dict(own.facts), **found}


def _compared(own: Own, forest: Forest | None) -> str:
    """Whether the forest predicts for the labelled objects what it did when it was trained."""
    if own.training is None or own.probabilities is None or forest is None:
        return "unknown"
    if forest.columns != own.training.rows.shape[1]:
        return "of other features"
    found = forest.predict(own.training.rows).probabilities
    return "as stored" if np.array_equal(found, own.probabilities) else "other than stored"


def _report_pixels(file: h5py.File, _: str) -> list[dict[str, Any]]:
    """Filters with their scales, classes and forests of each stage that classifies pixels."""
    lanes = read_lanes(file.get("Input Data"))
    suffixes = [suffix for suffix in STAGES if f"FeatureSelections{suffix}" in file]
    return [_report_stage(read_stage(file, suffix, lanes)) for suffix in suffixes]


def _report_stage(stage: PixelStage) -> dict[str, Any]:
    chosen = stage.features
    scales = [f"{s:g}{' in 2D' * flat}" for s, flat in zip(chosen.scales, chosen.in_planes, strict=True)]
    filters = {
        FILTERS[name].title: [scales[k] for k in np.flatnonzero(row)]
        for name, row in zip(chosen.filters, chosen.selected, strict=True)
        if row.any()
    }
    forests = stage.classifier.forests if stage.classifier is not None else ()
    return {
        "classes": list(stage.classes),
        "filters": filters,
        "trees": sum(forest.trees for forest in forests),
        "columns": forests[0].columns if forests else 0,
    }


_PARTS: dict[str, Callable[[h5py.File, str], Any]] = {
    "pixels": _report_pixels,
    "classes": _report_classes,
    "threshold": _report_threshold,
    "features": _report_features,
    "forest": _report_forest,
    "export": _report_export,
    "table": _report_table,
    "lanes": _report_lanes,
    "training": _report_training,
}
