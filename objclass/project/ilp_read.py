"""Read an ``.ilp`` file: ilastik's HDF5 layout becomes a `Project`."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from objclass.core import FeatureTable, concatenate
from objclass.errors import ProjectError
from objclass.features.contract import Key
from objclass.forest import Forest, decode
from objclass.project.ilp_own import with_own
from objclass.project.ilp_values import (
    MAXIMUM_BYTES,
    THRESHOLD_METHODS,
    WORKFLOW_CLASSES,
    check_size,
    child,
    one_line,
    opened,
    stored_flag,
    stored_group,
    stored_number,
    stored_text,
    stored_value,
)
from objclass.project.model import (
    COORD_MAXIMUM,
    MAXIMUM_CLASSES,
    ROLE_NAMES,
    WORKFLOWS,
    Project,
    TableSettings,
    TrainingInput,
)
from objclass.project.pixel_model import PIXEL_WORKFLOWS
from objclass.project.plain import read_plain
from objclass.settings import ExportSettings, ProjectThreshold

log = logging.getLogger("objclass")

MAXIMUM_NAMES = 10_000
"""Maximum bytes of a list of names."""


def read_project(path: str) -> Project:
    """Read an object classification project.

    Raises
    ------
    ProjectError
        If it is missing, damaged, of another workflow, or contains code that would have to be run.
    """
    with opened(path) as file:
        workflow = _workflow(path, file)
        if workflow not in WORKFLOWS:
            message = f"{path} is of the workflow '{workflow}', which finds no objects: expected {', '.join(WORKFLOWS)}"
            raise ProjectError(message)
        role = WORKFLOWS[workflow]
        classification = stored_group(file, "ObjectClassification")
        computed, margin = read_features(stored_group(file, "ObjectExtraction/Features"))
        selected, _ = read_features(stored_group(classification, "SelectedFeatures"))
        classes = read_names(classification.get("LabelNames"))
        if not classes:
            message = f"{path} has no classes: add labels in ilastik and save it"
            raise ProjectError(message)
        if len(classes) > MAXIMUM_CLASSES:
            message = f"{path} has {len(classes)} classes: {MAXIMUM_CLASSES} at most fit into a class image"
            raise ProjectError(message)
        if not selected:
            message = f"{path} selects no features: choose some in ilastik and save it"
            raise ProjectError(message)
        project = Project(
            path=path,
            workflow=workflow,
            version=stored_text(file.get("ilastikVersion"), ""),
            role=role,
            classes=classes,
            computed=computed,
            selected=selected,
            margin=margin,
            forest=read_forest(classification.get("ClassifierForests")),
            threshold=read_threshold(file.get("ThresholdTwoLevels"), role),
            colors=read_colors(classification.get("LabelColors")),
            labels=read_labels(classification.get("LabelInputs")),
            export=read_export(file.get("Object Information Export")),
            table=read_table(classification.get("ExportSettings")),
            lanes=read_lanes(file.get("Input Data")),
        )
        return with_own(file, project)


def workflow_of(path: str) -> str:
    """The workflow of a project.

    Raises
    ------
    ProjectError
        If the workflow is not supported, or the file is not a project.
    """
    with opened(path) as file:
        return _workflow(path, file)


def _workflow(path: str, file: h5py.File) -> str:
    stored = stored_text(file.get("workflowName"), "")
    workflow = WORKFLOW_CLASSES.get(stored, stored)
    if workflow not in (*WORKFLOWS, *PIXEL_WORKFLOWS):
        raise ProjectError(other_workflow(path, workflow))
    return workflow


def other_workflow(path: str, workflow: str) -> str:
    """The message about a project of a workflow that is not supported."""
    if not workflow:
        return f"{path} does not name its workflow: is it an ilastik project?"
    return f"{path} is of the workflow '{workflow}': expected {', '.join((*WORKFLOWS, *PIXEL_WORKFLOWS))}"


def read_names(dataset: Any) -> tuple[str, ...]:
    """A list of texts; with the attribute ``isEmpty`` the content is a placeholder."""
    if dataset is None or stored_flag(dataset, "isEmpty"):
        return ()
    values = np.atleast_1d(np.asarray(stored_value(dataset), object)).ravel()
    if values.size > MAXIMUM_NAMES:
        message = f"{dataset.name} holds {values.size} names"
        raise ProjectError(message)
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def read_colors(dataset: Any) -> tuple[tuple[int, int, int], ...]:
    """Red, green, blue of each class, 0 to 255; empty where the file has none."""
    if dataset is None or stored_flag(dataset, "isEmpty"):
        return ()
    rows = np.atleast_2d(np.asarray(stored_value(dataset)))
    if rows.shape[1] < 3 or not ((rows >= 0) & (rows <= 255)).all():  # colours are not worth an error
        return ()
    return tuple((int(r[0]), int(r[1]), int(r[2])) for r in rows)


def read_features(group: h5py.Group) -> tuple[tuple[Key, ...], tuple[int, ...]]:
    """Keys of the features in the order of the forest's columns, and the largest margin."""
    if list(group) == ["0"]:  # old files have another level of groups
        group = stored_group(group, "0")
    keys: list[Key] = []
    margins: list[NDArray[Any]] = []
    for plugin in group:
        if plugin == "Default features":
            continue
        for name in stored_group(group, plugin):
            leaf = group[plugin][name]
            # old vigra names contain blanks: "Coord<Minimum >"
            keys.append((plugin, name.replace(" ", "") if "<" in name else name))
            if isinstance(leaf, h5py.Group) and "margin" in leaf:
                margin = np.atleast_1d(np.asarray(stored_value(leaf["margin"]))).ravel()
                margins.append(np.repeat(margin, 3) if len(margin) == 1 else margin)
    if not margins:
        return tuple(sorted(keys)), ()
    dims = max(len(m) for m in margins)
    largest = np.max([np.pad(m, (0, dims - len(m))) for m in margins], axis=0)
    return tuple(sorted(keys)), tuple(int(n) for n in largest)


def read_forest(group: Any) -> Forest | None:
    """The forest; None if there is none. The trees of several, as old versions stored them, become one."""
    parts = _stored_forests(group)
    if not parts:
        return None
    shapes = {part[1:] for part in parts}
    if len(shapes) > 1:
        message = f"its {len(parts)} forests are not of one kind"
        raise ProjectError(message)
    columns, classes, weighted = shapes.pop()
    return decode([tree for part in parts for tree in part[0]], columns, classes, weighted=weighted)


def read_forests(group: Any) -> list[Forest]:
    """The forests of a pixel classifier, evaluated one by one, in the order of their names."""
    return [
        decode(trees, columns, classes, weighted=weighted)
        for trees, columns, classes, weighted in _stored_forests(group)
    ]


Trees = tuple[list[tuple[Any, Any]], int, int, bool]
"""Trees, number of columns and of classes, and whether leaves are weighted."""


def _stored_forests(group: Any) -> list[Trees]:
    if not isinstance(group, h5py.Group):
        return []
    kind = stored_text(group["pickled_type"]) if "pickled_type" in group else "VigraRf"
    if "pickled_classifier" in group or "VigraRf" not in kind:
        message = (
            "its classifier is a pickle of scikit-learn, which is not read since it could run code: "
            "choose the Parallel Random Forest (VIGRA) in ilastik and train again"
        )
        raise ProjectError(message)
    names = sorted(name for name in group if name.startswith("Forest"))
    return [_read_trees(stored_group(group, name)) for name in names]


def _read_trees(forest: h5py.Group) -> Trees:
    parameters, options = stored_group(forest, "_ext_param"), stored_group(forest, "_options")
    trees = sorted(name for name in forest if not name.startswith("_"))
    count = int(stored_number(options["tree_count_"]))
    if not 0 < count <= len(trees):
        message = f"its forest should have {count} trees and has {len(trees)}"
        raise ProjectError(message)
    groups = [stored_group(forest, tree) for tree in trees[:count]]
    stored = [
        (group["topology"], group["parameters"]) for group in groups
    ]  # once: to find one takes h5py long
    check_size([dataset for pair in stored for dataset in pair])
    arrays = [(stored_value(a, MAXIMUM_BYTES), stored_value(b, MAXIMUM_BYTES)) for a, b in stored]
    if any(a.ndim != 1 or b.ndim != 1 or a.dtype.kind not in "iu" or b.dtype.kind != "f"
           for a, b in arrays):  # fmt: skip
        message = "its forest is damaged: trees of other types than integers and floats"
        raise ProjectError(message)
    columns = int(stored_number(parameters["column_count_"]))
    classes = int(np.asarray(stored_value(parameters["labels"])).size)
    weighted = "predict_weighted_" not in options or bool(stored_number(options["predict_weighted_"]))
    return arrays, columns, classes, weighted


def read_threshold(group: Any, role: str) -> ProjectThreshold:
    """Settings of thresholding; the default where the workflow has none."""
    if role != "prediction_maps":
        return ProjectThreshold()
    if not isinstance(group, h5py.Group):
        message = "has no thresholds (ThresholdTwoLevels): save it in ilastik once more"
        raise ProjectError(message)

    def stored(name: str, default: float) -> float:
        return stored_number(group[name]) if name in group else default

    operator = int(stored("CurOperator", 0))
    if operator not in THRESHOLD_METHODS:
        message = f"its thresholding method has number {operator}, which is unknown"
        raise ProjectError(message)
    channel = int(stored("Channel", 0))
    low = stored("LowThreshold", 0.5)
    if operator == 0:  # until 1.2.0 the simple threshold was stored separately
        low = stored("SingleThreshold", low)
    legacy_core = channel if operator else 0
    sigmas = group.get("SmootherSigma")
    x, y, z = (
        stored_number(sigmas[a]) if isinstance(sigmas, h5py.Group) and a in sigmas else 1.0 for a in "xyz"
    )
    return ProjectThreshold(
        threshold=low,
        core_threshold=stored("HighThreshold", 0.8),
        channel=channel,
        core_channel=int(stored("CoreChannel", legacy_core)),
        min_size=int(stored("MinSize", 10)),
        max_size=int(stored("MaxSize", 1000000)),
        method=THRESHOLD_METHODS[operator],
        sigmas=(x, y, z),
    )


def read_labels(group: Any) -> dict[int, dict[int, NDArray[Any]]]:
    """Class of each annotated object: lane -> time step -> array indexed by object id."""
    if not isinstance(group, h5py.Group):
        return {}
    check_size([steps[t] for lane in group for steps in [stored_group(group, lane)] for t in steps])
    return {
        int(lane): {
            int(t): np.asarray(stored_value(group[lane][t], MAXIMUM_BYTES)).ravel() for t in group[lane]
        }
        for lane in group
    }


def read_stored_features(
    project: Project, labels: Mapping[tuple[int, int], NDArray[Any]], further: Sequence[Key] = ()
) -> FeatureTable | None:
    """Features that ilastik stored for the labelled objects, None if any is missing.

    Parameters
    ----------
    labels
        Lane and time step -> ids of the objects.
    further
        Features that are read as well, if they are stored for all objects.
    """
    parts: list[tuple[int, NDArray[Any], dict[Key, NDArray[Any]]]] = []
    with opened(project.path) as file:
        for (lane, t), ids in sorted(labels.items()):
            group = file.get(f"ObjectExtraction/RegionFeatures/{lane:04d}/[[{t}], [{t + 1}]]")
            values: dict[Key, NDArray[Any]] = {}
            for key in (*project.selected, *further):
                found = child(child(group, key[0]), key[1])
                if isinstance(found, h5py.Dataset) and found.ndim == 2 and len(found) > ids.max():
                    values[key] = np.asarray(stored_value(found, MAXIMUM_BYTES))[ids]
                elif key in project.selected:
                    return None
            if (
                project.inclusive_maximum
            ):  # as that version of ilastik defined it; tables have the coordinate after it
                values[COORD_MAXIMUM] = values[COORD_MAXIMUM] + 1
            parts.append((t, ids, values))
    kept = [*project.selected, *(key for key in further if all(key in values for *_, values in parts))]
    return concatenate(
        [
            FeatureTable(np.full(len(ids), t), ids, {key: values[key] for key in kept})
            for t, ids, values in parts
        ]
    )


def read_export(group: Any) -> ExportSettings:
    """Stored settings of result images."""
    if not isinstance(group, h5py.Group):
        return ExportSettings()

    def text(name: str) -> str | None:
        return stored_text(group[name]) if name in group else None

    def pair(first: str, second: str) -> tuple[float, float] | None:
        both = first in group and second in group
        return (stored_number(group[first]), stored_number(group[second])) if both else None

    def bound(name: str) -> tuple[int | None, ...]:
        return tuple(None if n < 0 else int(n) for n in np.atleast_1d(stored_value(group[name])))

    region = None
    if "RegionStart" in group and "RegionStop" in group:
        region = bound("RegionStart"), bound("RegionStop")
    result_range = pair("InputMin", "InputMax")
    return ExportSettings(
        output_format=text("OutputFormat"),
        output_filename_format=text("OutputFilenameFormat"),
        output_internal_path=text("OutputInternalPath"),
        cutout_subregion=region,
        export_dtype=text("ExportDtype"),
        output_axis_order=text("OutputAxisOrder"),
        pipeline_result_drange=result_range,
        export_drange=pair("ExportMin", "ExportMax") if result_range else None,
    )


def read_table(dataset: Any) -> TableSettings | None:
    """Stored settings of the table; None if there are none, or they cannot be read safely."""
    if dataset is None:
        return None
    value = stored_value(dataset)
    data = value if isinstance(value, bytes) else np.asarray(value).tobytes()
    if not data.strip(b"\0"):
        return None
    try:
        stored = read_plain(data)
    except ProjectError as fault:
        log.warning("the stored settings of the table are ignored: %s", one_line(fault))
        return None
    if stored in (None, (None, None)):
        return None  # no table was set up
    try:
        settings, features = stored
        kind, path = settings["file type"], settings["file path"]
    except (ValueError, TypeError, KeyError):
        log.warning("the stored settings of the table are ignored: they have no type and path of a file")
        return None
    if not isinstance(kind, str) or not isinstance(path, str) or not isinstance(features, list | tuple):
        return None
    names = [name for name in features if isinstance(name, str)]
    margin = settings.get("margin", 0)
    return TableSettings(
        kind,
        path,
        tuple(n.replace(" ", "") if "<" in n else n for n in names),
        max(margin, 0) if isinstance(margin, int) else 0,
    )


def read_lanes(group: Any) -> tuple[Mapping[str, TrainingInput], ...]:
    """The training images, lane after lane."""
    if not isinstance(group, h5py.Group) or "infos" not in group:
        return ()
    infos = stored_group(group, "infos")
    slugs = {name: slug for slug, name in ROLE_NAMES.items()}
    lanes = []
    for lane in sorted(infos):
        stored_group(infos, lane)
        if "Role Names" not in group and "filePath" in infos[lane]:  # very old: raw data only
            lanes.append({"raw_data": _training_input(infos[lane])})
            continue
        lanes.append(
            {
                slugs.get(role, role): _training_input(infos[lane][role])
                for role in infos[lane]
                if isinstance(infos[lane][role], h5py.Group) and "filePath" in infos[lane][role]
            }
        )
    return tuple(lanes)


def _training_input(info: h5py.Group) -> TrainingInput:
    if "axistags" in info:
        tags = json.loads(stored_text(info["axistags"]))
        axes = "".join(axis["key"] for axis in tags["axes"])
    else:
        axes = stored_text(info.get("axisorder"), "")
    shape = tuple(int(n) for n in np.atleast_1d(stored_value(info["shape"]))) if "shape" in info else ()
    path = stored_text(info["filePath"]).replace("\\", "/")
    return TrainingInput(path, axes, shape, stored_text(info.get("nickname"), ""), _inside(info))


def _inside(info: h5py.Group) -> str:
    """Name of the dataset of an image that is stored in the project; until 1.3.2 only its id was said."""
    if stored_text(info.get("location"), "") != "ProjectInternal":
        return ""
    if "inner_path" in info:
        return stored_text(info["inner_path"])
    return f"Input Data/local_data/{stored_text(info['datasetId'])}" if "datasetId" in info else ""
