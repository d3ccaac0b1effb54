"""ilastik's project file (HDF5): the only place that knows its layout.

Reading follows what ilastik 1.2 to 1.4 write; nothing is ever unpickled. Writing makes a project that
ilastik itself opens (from binary image, prediction image, label image).
"""

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import has_magic, iglob
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from objclass.core import FeatureTable, concatenate
from objclass.errors import ProjectError, UsageError
from objclass.features import Key
from objclass.forest import Forest, decode, encode
from objclass.images.attributes import axistags
from objclass.project import (
    MOST_CLASSES,
    ROLE_NAMES,
    WORKFLOWS,
    Project,
    TableSettings,
    TrainingInput,
)
from objclass.project.heaps import check_heaps, check_texts
from objclass.project.plain import read_plain
from objclass.settings import EXPORT_DEFAULTS, ExportSettings, ProjectThreshold

log = logging.getLogger("objclass")

MOST_BYTES = 1 << 28
"""Forests and labels that are larger than this are not part of a project (but of a damaged one)."""

MOST_SETTING_BYTES = 1 << 20
"""Same of any other value: texts, numbers, the pickle of the table's settings."""

MOST_NAMES = 10_000
"""Same of a list of names."""

THRESHOLD_METHODS = {0: "simple", 1: "hysteresis", 2: "graph cut", 3: "ipht"}
"""``CurOperator`` -> how the threshold is applied."""

WORKFLOW_CLASSES = {
    "ObjectClassificationWorkflowBinary": "Object Classification (from binary image)",
    "ObjectClassificationWorkflowPrediction": "Object Classification (from prediction image)",
    "ObjectClassificationWorkflowLabels": "Object Classification (from label image)",
    "ObjectClassificationWorkflowPixel": "Object Classification (from pixel classification)",
}

PIXEL_AND_OBJECT = WORKFLOW_CLASSES["ObjectClassificationWorkflowPixel"]

DAMAGE = (
    KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError, OverflowError, MemoryError
)  # fmt: skip
"""What a damaged file makes h5py, numpy and the reading here raise."""

VERSION = "1.4.2"
"""What we say wrote a project of ours: ilastik opens none without a version that it knows."""

NO_SETTINGS = b"(NNtp0\n."
"""The pickle of (None, None): no table was set up."""

FOREST_CLASS = (
    b"clazyflow.classifiers.parallelVigraRfLazyflowClassifier\nParallelVigraRfLazyflowClassifier\np0\n."
)
"""Names vigra's forest; ilastik expects this very text, and we never run it."""


def read_project(path: str) -> Project:
    """Read an object classification project.

    Raises
    ------
    ProjectError
        If it is missing, damaged, of another workflow, or has what cannot be read without running it.
    """
    with _opened(path) as file:
        workflow = _text(file.get("workflowName"), "")
        workflow = WORKFLOW_CLASSES.get(workflow, workflow)
        if workflow not in WORKFLOWS:
            raise ProjectError(_other_workflow(path, workflow))
        role = WORKFLOWS[workflow]
        classification = _group(file, "ObjectClassification")
        computed, margin = _features(_group(file, "ObjectExtraction/Features"))
        selected, _ = _features(_group(classification, "SelectedFeatures"))
        classes = _names(classification.get("LabelNames"))
        if not classes:
            message = f"{path} has no classes: add labels in ilastik and save it"
            raise ProjectError(message)
        if len(classes) > MOST_CLASSES:
            message = f"{path} has {len(classes)} classes: {MOST_CLASSES} at most fit into a class image"
            raise ProjectError(message)
        if not selected:
            message = f"{path} selects no features: choose some in ilastik and save it"
            raise ProjectError(message)
        return Project(
            path=path,
            workflow=workflow,
            version=_text(file.get("ilastikVersion"), ""),
            role=role,
            classes=classes,
            computed=computed,
            selected=selected,
            margin=margin,
            forest=_forest(classification.get("ClassifierForests")),
            threshold=_threshold(file.get("ThresholdTwoLevels"), role),
            colors=_colors(classification.get("LabelColors")),
            labels=_labels(classification.get("LabelInputs")),
            export=_export(file.get("Object Information Export")),
            table=_table(classification.get("ExportSettings")),
            lanes=_lanes(file.get("Input Data")),
        )


def inspect_project(path: str) -> dict[str, Any]:
    """What is in a project of any workflow, as plain values; what cannot be read is said in its place.

    Raises
    ------
    ProjectError
        If the file is no HDF5 file.
    """
    with _opened(path) as file:
        workflow = _text(file.get("workflowName"), "")
        workflow = WORKFLOW_CLASSES.get(workflow, workflow)
        told: dict[str, Any] = {
            "path": path,
            "workflow": workflow,
            "ilastik_version": _text(file.get("ilastikVersion"), ""),
            "parts": sorted(file),
        }
        for name, read in _PARTS.items():
            told[name] = _tried(read, file, WORKFLOWS.get(workflow, ""))
        return {name: _encodable(part) for name, part in told.items()}


def _encodable(value: Any) -> Any:
    """The same with a question mark for what no encoding knows: h5py answers odd bytes as surrogates."""
    if isinstance(value, bytes):  # the name of a member that is no UTF-8
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list | tuple) else value


def _tried(read: Callable[[h5py.File, str], Any], file: h5py.File, role: str) -> Any:
    """A part of a project, or what is wrong with it."""
    try:
        return read(file, role)
    except (ProjectError, UsageError, OSError, *DAMAGE) as fault:
        return {"fault": _one_line(fault) or type(fault).__name__}


def _told_classes(file: h5py.File, _: str) -> list[dict[str, Any]]:
    """Name, colour and labels (lane -> time step -> objects) of each class."""
    for applet in ("ObjectClassification", "PixelClassification"):
        if applet in file:
            group = file[applet]
            names, colors = _names(group.get("LabelNames")), _colors(group.get("LabelColors"))
            labels = _labels(group.get("LabelInputs"))
            return [
                {
                    "name": name,
                    "color": list(colors[k - 1]) if k <= len(colors) else None,
                    "labels": {
                        lane: {t: int((given == k).sum()) for t, given in steps.items()}
                        for lane, steps in labels.items()
                    },
                }
                for k, name in enumerate(names, 1)
            ]
    return []


def _told_threshold(file: h5py.File, role: str) -> dict[str, Any] | None:
    if role != "prediction_maps" and "ThresholdTwoLevels" not in file:
        return None
    return vars(_threshold(file.get("ThresholdTwoLevels"), "prediction_maps"))


def _told_features(file: h5py.File, _: str) -> dict[str, Any]:
    computed: tuple[Key, ...] = ()
    margin: tuple[int, ...] = ()
    if "ObjectExtraction/Features" in file:
        computed, margin = _features(_group(file, "ObjectExtraction/Features"))
    selected: tuple[Key, ...] = ()
    if "ObjectClassification/SelectedFeatures" in file:
        selected = _features(_group(file, "ObjectClassification/SelectedFeatures"))[0]
    return {
        "computed": _by_plugin(computed),
        "selected": _by_plugin(selected),
        "margin": list(margin),
    }


def _by_plugin(keys: tuple[Key, ...]) -> dict[str, list[str]]:
    return {plugin: [n for p, n in keys if p == plugin] for plugin in dict.fromkeys(p for p, _ in keys)}


def _told_forest(file: h5py.File, _: str) -> dict[str, int] | None:
    forest = _forest(file.get("ObjectClassification/ClassifierForests"))
    if forest is None:
        return None
    return {
        "trees": forest.trees, "columns": forest.columns, "classes": forest.classes, "depth": forest.depth
    }  # fmt: skip


def _told_export(file: h5py.File, _: str) -> dict[str, Any]:
    group = file.get("Object Information Export", file.get("Prediction Export"))
    return {name: value for name, value in vars(_export(group)).items() if value is not None}


def _told_table(file: h5py.File, _: str) -> dict[str, Any] | None:
    table = _table(file.get("ObjectClassification/ExportSettings"))
    return vars(table) if table is not None else None


def _told_lanes(file: h5py.File, _: str) -> list[dict[str, Any]]:
    """What it was trained on, and whether it is found from where the project is."""
    folder = Path(file.filename).resolve().parent
    return [
        {
            role: {
                "path": given.path,
                "axes": given.axes,
                "shape": list(given.shape),
                "found": _found(folder / _file_part(given.path)),
            }
            for role, given in lane.items()
        }
        for lane in _lanes(file.get("Input Data"))
    ]


def _found(path: Path) -> bool:
    """Whether there is such a file; wildcards count in its name only: those in folders can take forever."""
    if has_magic(path.name) and not has_magic(str(path.parent)):
        return any(iglob(str(path)))
    return os.path.exists(path)


def _file_part(path: str) -> str:
    """The path without what follows the suffix of an HDF5 file, of several paths the first."""
    first = path.split(os.pathsep, 1)[0]
    return re.sub(r"(\.(?:h5|hdf5|ilp|n5|npz))/.*", r"\1", first)


_PARTS: dict[str, Callable[[h5py.File, str], Any]] = {
    "classes": _told_classes,
    "threshold": _told_threshold,
    "features": _told_features,
    "forest": _told_forest,
    "export": _told_export,
    "table": _told_table,
    "lanes": _told_lanes,
}


def _other_workflow(path: str, workflow: str) -> str:
    """What to do about a project of a workflow that we do not run."""
    if not workflow:
        return f"{path} does not name its workflow: is it an ilastik project?"
    if workflow == PIXEL_AND_OBJECT:
        remedy = (
            "not supported yet: export its pixel probabilities, and train an object classification "
            "from prediction image"
        )
    else:
        remedy = f"expected {', '.join(WORKFLOWS)}"
    return f"{path} is of the workflow '{workflow}': {remedy}"


@contextmanager
def _opened(path: str) -> Iterator[h5py.File]:
    """The open file; whatever a damaged one makes h5py raise becomes one line."""
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "no such file"
        message = f"project {path}: {what}: expected an ilastik project (.ilp)"
        raise ProjectError(message)
    try:
        check_heaps(path)
        with h5py.File(path, "r") as file:
            yield file
    except ProjectError as fault:
        told = " ".join(str(fault).splitlines())
        raise ProjectError(told if path in told else f"{path}: {told}") from None
    except UsageError as fault:
        message = f"{path}: stored settings: {fault}"
        raise ProjectError(message) from None
    except OSError as fault:
        message = f"{path} cannot be read as HDF5 (truncated, or not a project?): {_one_line(fault)}"
        raise ProjectError(message) from None
    except DAMAGE as fault:
        message = f"{path} is damaged: {type(fault).__name__}: {_one_line(fault)}"
        raise ProjectError(message) from None


def _one_line(fault: BaseException) -> str:
    return " ".join(str(fault).split())


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        message = f"has no {parent.name.rstrip('/')}/{name}: save it in ilastik once more"
        raise ProjectError(message)
    return found


def _value(dataset: Any, most: int = MOST_SETTING_BYTES) -> Any:
    """Content of a dataset of sane size."""
    if not isinstance(dataset, h5py.Dataset):
        message = f"{dataset.name if dataset is not None else 'a value'}: expected a dataset"
        raise ProjectError(message)
    if dataset.shape is None:
        message = f"{dataset.name} holds no value"
        raise ProjectError(message)
    if (size := _bytes(dataset)) > most:
        message = f"{dataset.name} claims {size} bytes"
        raise ProjectError(message)
    check_texts(dataset, most)
    return dataset[()]


def _bytes(dataset: h5py.Dataset) -> int:
    """Like its ``nbytes``, which starts again from 0 after 2⁶⁴."""
    return math.prod(dataset.shape or ()) * int(dataset.dtype.itemsize)


def _check_size(datasets: Iterable[Any]) -> None:
    """Refuse what would fill the memory: a small file can claim a lot, compressed."""
    total = sum(_bytes(dataset) for dataset in datasets if isinstance(dataset, h5py.Dataset))
    if total > MOST_BYTES:
        message = f"its forest or labels claim {total} bytes"
        raise ProjectError(message)


def _text(dataset: Any, default: str | None = None) -> str:
    """Text of a dataset, stored as fixed or variable length bytes, or as numbers long ago."""
    if dataset is None and default is not None:
        return default
    value = _value(dataset)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(dataset: Any) -> float:
    return float(np.asarray(_value(dataset)).ravel()[0])


def _names(dataset: Any) -> tuple[str, ...]:
    """A list of texts; its attribute ``isEmpty`` says when the content is a stand-in."""
    if dataset is None or bool(dataset.attrs.get("isEmpty", False)):
        return ()
    values = np.atleast_1d(np.asarray(_value(dataset), object)).ravel()
    if values.size > MOST_NAMES:
        message = f"{dataset.name} holds {values.size} names"
        raise ProjectError(message)
    return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values)


def _colors(dataset: Any) -> tuple[tuple[int, int, int], ...]:
    if dataset is None or bool(dataset.attrs.get("isEmpty", False)):
        return ()
    rows = np.atleast_2d(np.asarray(_value(dataset)))
    if rows.shape[1] < 3 or not ((rows >= 0) & (rows <= 255)).all():  # it is not worth failing for
        return ()
    return tuple((int(r[0]), int(r[1]), int(r[2])) for r in rows)


def _features(group: h5py.Group) -> tuple[tuple[Key, ...], tuple[int, ...]]:
    """Keys of the features in the order of the forest's columns, and the largest margin."""
    if list(group) == ["0"]:  # old files wrap everything once more
        group = _group(group, "0")
    keys: list[Key] = []
    margins: list[NDArray[Any]] = []
    for plugin in group:
        if plugin == "Default features":
            continue
        for name in _group(group, plugin):
            leaf = group[plugin][name]
            # old vigra names hold blanks: "Coord<Minimum >"
            keys.append((plugin, name.replace(" ", "") if "<" in name else name))
            if isinstance(leaf, h5py.Group) and "margin" in leaf:
                margin = np.atleast_1d(np.asarray(_value(leaf["margin"]))).ravel()
                margins.append(np.repeat(margin, 3) if len(margin) == 1 else margin)
    if not margins:
        return tuple(sorted(keys)), ()
    dims = max(len(m) for m in margins)
    largest = np.max([np.pad(m, (0, dims - len(m))) for m in margins], axis=0)
    return tuple(sorted(keys)), tuple(int(n) for n in largest)


def _forest(group: Any) -> Forest | None:
    """The forest; None if there is none."""
    if not isinstance(group, h5py.Group):
        return None
    kind = _text(group["pickled_type"]) if "pickled_type" in group else "VigraRf"
    if "pickled_classifier" in group or "VigraRf" not in kind:
        message = (
            "its classifier is a pickle of scikit-learn, which cannot be read without running it: "
            "choose the Parallel Random Forest (VIGRA) in ilastik and train again"
        )
        raise ProjectError(message)
    names = sorted(name for name in group if name.startswith("Forest"))
    if not names:
        return None
    if len(names) > 1:
        message = f"{len(names)} forests: object classification has one"
        raise ProjectError(message)
    forest = _group(group, names[0])
    stated, options = _group(forest, "_ext_param"), _group(forest, "_options")
    trees = sorted(name for name in forest if not name.startswith("_"))
    count = int(_number(options["tree_count_"]))
    if not 0 < count <= len(trees):
        message = f"its forest claims {count} trees and holds {len(trees)}"
        raise ProjectError(message)
    _check_size([forest[tree][part] for tree in trees[:count] for part in ("topology", "parameters")])
    arrays = [
        (_value(forest[t]["topology"], MOST_BYTES), _value(forest[t]["parameters"], MOST_BYTES))
        for t in trees[:count]
    ]
    if any(a.ndim != 1 or b.ndim != 1 or a.dtype.kind not in "iu" or b.dtype.kind != "f"
           for a, b in arrays):  # fmt: skip
        message = "its forest is damaged: trees of other types than integers and floats"
        raise ProjectError(message)
    columns = int(_number(stated["column_count_"]))
    classes = int(np.asarray(_value(stated["labels"])).size)
    weighted = "predict_weighted_" not in options or bool(_number(options["predict_weighted_"]))
    return decode(arrays, columns, classes, weighted=weighted)


def _threshold(group: Any, role: str) -> ProjectThreshold:
    if role != "prediction_maps":
        return ProjectThreshold()
    if not isinstance(group, h5py.Group):
        message = "has no thresholds (ThresholdTwoLevels): save it in ilastik once more"
        raise ProjectError(message)

    def stored(name: str, default: float) -> float:
        return _number(group[name]) if name in group else default

    operator = int(stored("CurOperator", 0))
    if operator not in THRESHOLD_METHODS:
        message = f"its thresholding method is number {operator}, which objclass does not have"
        raise ProjectError(message)
    channel = int(stored("Channel", 0))
    low = stored("LowThreshold", 0.5)
    if operator == 0:  # until 1.2.0 the simple threshold was stored apart
        low = stored("SingleThreshold", low)
    legacy_core = channel if operator else 0
    sigmas = group.get("SmootherSigma")
    x, y, z = (_number(sigmas[a]) if isinstance(sigmas, h5py.Group) and a in sigmas else 1.0 for a in "xyz")
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


def _labels(group: Any) -> dict[int, dict[int, NDArray[Any]]]:
    if not isinstance(group, h5py.Group):
        return {}
    _check_size([steps[t] for lane in group for steps in [_group(group, lane)] for t in steps])
    return {
        int(lane): {int(t): np.asarray(_value(group[lane][t], MOST_BYTES)).ravel() for t in group[lane]}
        for lane in group
    }


def read_stored_features(
    project: Project, labels: Mapping[tuple[int, int], NDArray[Any]]
) -> FeatureTable | None:
    """Features that ilastik stored of the labelled objects, None if any is not there.

    Parameters
    ----------
    labels
        Lane and time step -> ids of the objects.
    """
    tables = []
    with _opened(project.path) as file:
        for (lane, t), ids in sorted(labels.items()):
            group = file.get(f"ObjectExtraction/RegionFeatures/{lane:04d}/[[{t}], [{t + 1}]]")
            values = {}
            for plugin, name in project.selected:
                found = _child(_child(group, plugin), name)
                if not isinstance(found, h5py.Dataset) or found.ndim != 2 or len(found) <= ids.max():
                    return None
                values[plugin, name] = np.asarray(_value(found, MOST_BYTES))[ids]
            tables.append(FeatureTable(np.full(len(ids), t), ids, values))
    return concatenate(tables)


def _child(group: Any, name: str) -> Any:
    """A member of a group; vigra's names once held blanks."""
    if not isinstance(group, h5py.Group):
        return None
    return group.get(name) or next((group[n] for n in group if "<" in n and n.replace(" ", "") == name), None)


def _export(group: Any) -> ExportSettings:
    """Stored settings of result images."""
    if not isinstance(group, h5py.Group):
        return ExportSettings()

    def text(name: str) -> str | None:
        return _text(group[name]) if name in group else None

    def pair(first: str, second: str) -> tuple[float, float] | None:
        both = first in group and second in group
        return (_number(group[first]), _number(group[second])) if both else None

    def bound(name: str) -> tuple[int | None, ...]:
        return tuple(None if n < 0 else int(n) for n in np.atleast_1d(_value(group[name])))

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


def _table(dataset: Any) -> TableSettings | None:
    """Stored settings of the table; None if there are none, or none that can be read safely."""
    if dataset is None:
        return None
    value = _value(dataset)
    data = value if isinstance(value, bytes) else np.asarray(value).tobytes()
    if not data.strip(b"\0") or data == NO_SETTINGS:
        return None
    try:
        settings, features = read_plain(data)
        kind, path = settings["file type"], settings["file path"]
    except (ProjectError, ValueError, TypeError, KeyError) as fault:
        log.warning("the stored settings of the table are ignored: %s", _one_line(fault))
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


def _lanes(group: Any) -> tuple[Mapping[str, TrainingInput], ...]:
    """What the project was trained on, lane after lane."""
    if not isinstance(group, h5py.Group) or "infos" not in group:
        return ()
    infos = _group(group, "infos")
    slugs = {name: slug for slug, name in ROLE_NAMES.items()}
    lanes = []
    for lane in sorted(infos):
        _group(infos, lane)
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
        tags = json.loads(_text(info["axistags"]))
        axes = "".join(axis["key"] for axis in tags["axes"])
    else:
        axes = _text(info.get("axisorder"), "")
    shape = tuple(int(n) for n in np.atleast_1d(_value(info["shape"]))) if "shape" in info else ()
    path = _text(info["filePath"]).replace("\\", "/")
    return TrainingInput(path, axes, shape, _text(info.get("nickname"), ""))


def write_project(path: str, project: Project) -> None:
    """Write a project that ilastik opens, predicts with and retrains.

    The same project gives the same bytes. The root ``time`` is `SOURCE_DATE_EPOCH`, or left out.
    """
    with h5py.File(path, "w", libver=("earliest", "v110"), track_order=False) as file:
        file["ilastikVersion"] = VERSION.encode()
        file["workflowName"] = project.workflow.encode()
        if "SOURCE_DATE_EPOCH" in os.environ:
            file["time"] = os.environ["SOURCE_DATE_EPOCH"].encode()
        _write_inputs(file.create_group("Input Data"), project)
        if project.role == "prediction_maps":
            _write_threshold(_storage(file, "ThresholdTwoLevels"), project.threshold)
        extraction = _storage(file, "ObjectExtraction")
        _write_features(extraction.create_group("Features"), project.computed, project.margin)
        _write_classification(_storage(file, "ObjectClassification"), project)
        export = _storage(file, "Object Information Export")
        for name, value in (
            ("OutputFilenameFormat", EXPORT_DEFAULTS.output_filename_format),
            ("OutputFormat", EXPORT_DEFAULTS.output_format),
            ("OutputInternalPath", EXPORT_DEFAULTS.output_internal_path),
        ):
            export[name] = str(value).encode()


def _storage(file: h5py.File, name: str) -> h5py.Group:
    """A group with the ``StorageVersion`` without which ilastik passes it over."""
    group = file.create_group(name)
    group["StorageVersion"] = b"0.1"
    return group


def _write_list(group: h5py.Group, name: str, values: Any) -> None:
    group[name] = values
    group[name].attrs["isEmpty"] = np.bool_(False)


def _write_inputs(group: h5py.Group, project: Project) -> None:
    roles = ["raw_data", project.role, "atlas"]
    group["StorageVersion"] = b"0.2"
    group["Role Names"] = [ROLE_NAMES[role].encode() for role in roles]
    group.create_group("local_data")
    for number, lane in enumerate(project.lanes):
        for role in roles:
            info = group.create_group(f"infos/lane{number:04d}/{ROLE_NAMES[role]}")
            if role in lane:
                _write_info(info, lane[role])


def _write_info(info: h5py.Group, given: TrainingInput) -> None:
    info["__class__"] = b"RelativeFilesystemDatasetInfo"
    info["filePath"] = given.path.encode()
    info["location"] = b"FileSystem"
    info["nickname"] = given.nickname.encode()
    info["axistags"] = axistags(given.axes).encode()
    info["shape"] = np.array(given.shape, np.int64)
    info["allowLabels"] = np.bool_(True)
    info["normalizeDisplay"] = np.bool_(False)
    info["display_mode"] = b"default"


def _write_threshold(group: h5py.Group, threshold: ProjectThreshold) -> None:
    numbers = {name: number for number, name in THRESHOLD_METHODS.items()}
    group["CurOperator"] = numbers[threshold.method]
    group["Channel"] = threshold.channel
    group["CoreChannel"] = threshold.core_channel
    group["LowThreshold"] = float(threshold.threshold)
    group["HighThreshold"] = float(threshold.core_threshold)
    group["MinSize"] = threshold.min_size
    group["MaxSize"] = threshold.max_size if threshold.max_size is not None else 2**62
    for axis, sigma in zip("xyz", threshold.sigmas, strict=True):
        group[f"SmootherSigma/{axis}"] = float(sigma)


def _write_features(group: h5py.Group, keys: tuple[Key, ...], margin: tuple[int, ...]) -> None:
    for plugin, name in keys:
        leaf = group.create_group(f"{plugin}/{name}")
        if name.endswith("neighborhood"):
            leaf["margin"] = np.array(margin, np.int64)


def _write_classification(group: h5py.Group, project: Project) -> None:
    names = np.array([name.encode() for name in project.classes], dtype=h5py.string_dtype())
    _write_list(group, "LabelNames", names)
    for colors in ("LabelColors", "PmapColors"):
        _write_list(group, colors, np.array(project.colors, np.int64).reshape(-1, 3))
    group["MaxNumObj"] = len(project.classes) - 1
    _write_features(group.create_group("SelectedFeatures"), project.selected, project.margin)
    for lane, steps in project.labels.items():
        for t, classes in steps.items():
            group[f"LabelInputs/{lane:04d}/{t}"] = np.asarray(classes, np.float64)
    if project.forest is not None:
        _write_forest(group.create_group("ClassifierForests"), project.forest)
    if project.table is not None:
        group["ExportSettings"] = np.void(_table_pickle(project.table))
        group["ExportSettings"].attrs["version"] = 1


def _write_forest(group: h5py.Group, forest: Forest) -> None:
    labels = np.arange(1, forest.classes + 1, dtype=np.uint32)
    group["known_labels"] = labels
    group["pickled_type"] = FOREST_CLASS
    root = group.create_group("Forest0000")
    root.attrs["vigra_random_forest_version"] = 0.1
    options = {"tree_count_": forest.trees, "predict_weighted_": float(forest.weighted)}
    stated = {"column_count_": forest.columns, "class_count_": forest.classes}
    for name, value in options.items():
        root[f"_options/{name}"] = np.array([value], np.float64)
    for name, value in stated.items():
        root[f"_ext_param/{name}"] = np.array([value], np.float64)
    root["_ext_param/labels"] = labels
    digits = len(str(max(forest.trees - 1, 0)))
    for number, (topology, parameters) in enumerate(encode(forest)):
        tree = root.create_group(f"Tree_{number:0{digits}d}")
        tree["topology"] = topology
        tree["parameters"] = parameters


def _table_pickle(table: TableSettings) -> bytes:
    """The settings of the table as the protocol 0 pickle, text, that ilastik expects to find."""

    def text(value: str) -> str:
        plain = value.replace("\\", "\\u005c").replace("\n", "\\u000a")
        return f"V{plain.encode('raw_unicode_escape').decode('latin-1')}\n"

    settings = (
        f"(d{text('file type')}{text(table.file_type)}s{text('file path')}{text(table.path)}s"
        f"{text('compression')}(ds"
    )
    features = "(l" + "".join(f"{text(name)}a" for name in table.features)
    return f"({settings}{features}t.".encode("latin-1")
