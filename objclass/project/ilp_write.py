"""Write a `Project` in ilastik's layout."""

import logging
import os
from collections.abc import Collection, Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from objclass.compute.hdf5_file import Hdf5File
from objclass.errors import ProjectError
from objclass.features.contract import Key
from objclass.forest import Forest, encode
from objclass.images.attributes import axistags
from objclass.images.paths import joined_to
from objclass.project.ilp_images import write_images
from objclass.project.ilp_own import GROUP, write_own
from objclass.project.ilp_read import read_features, read_lanes, read_threshold
from objclass.project.ilp_values import THRESHOLD_METHODS, opened, stored_number, stored_text
from objclass.project.model import MAXIMUM_SIZE, ROLE_NAMES, Project, TableSettings, TrainingInput
from objclass.settings import EXPORT_DEFAULTS, ExportSettings, ProjectThreshold

log = logging.getLogger("objclass")

VERSION = "1.4.2"
"""Version of ilastik that our projects name as their writer: ilastik opens only versions that it knows."""

LIBRARY = ("earliest", "v110")
"""Versions of HDF5 that read our files, from and to."""

LEARNED = (
    "LabelNames",
    "LabelColors",
    "PmapColors",
    "MaxNumObj",
    "LabelInputs",
    "ClassifierForests",
    "CachedProbabilities",
)
SELECTED = ("SelectedFeatures", "ExportSettings")
"""Parts of ``ObjectClassification`` that are of classes and labels, and those that are of features."""

OF_LANES = ("Input Data/infos", "PixelClassification/LabelSets", "PixelClassification/Bookmarks")
"""Groups that have a group for each lane, in the order of the lanes."""

CACHED = ("ObjectExtraction", "ThresholdTwoLevels/CachedThresholdLabels")
"""Groups in which ilastik keeps, by the numbers of lanes, what it computes again where it is not there."""

FOREST_CLASS = (
    b"clazyflow.classifiers.parallelVigraRfLazyflowClassifier\nParallelVigraRfLazyflowClassifier\np0\n."
)
"""The pickle that names vigra's forest; ilastik expects exactly this text, and objclass never runs it."""


def write_project(path: str, project: Project, base: str | None = None) -> None:
    """Write a project that ilastik opens, predicts with and retrains.

    The same project gives the same bytes. The root ``time`` is `SOURCE_DATE_EPOCH`, or left out.

    Parameters
    ----------
    path
        The file to write.
    project
        Paths of its lanes are relative to the place where the file will be in the end.
    base
        The project from which images are copied that are stored in it, unless ``project`` brings them.
    """
    with Hdf5File(path, libver=LIBRARY, track_order=False) as file:
        file["ilastikVersion"] = (project.version or VERSION).encode()
        file["workflowName"] = project.workflow.encode()
        if "SOURCE_DATE_EPOCH" in os.environ:
            file["time"] = os.environ["SOURCE_DATE_EPOCH"].encode()
        _write_inputs(file.create_group("Input Data"), project)
        write_images(file, project.lanes, project.images, base)
        if project.role == "prediction_maps":
            _write_threshold(storage(file, "ThresholdTwoLevels"), project.threshold)
        _write_extraction(file, project)
        group = storage(file, "ObjectClassification")
        _write_classes(group, project)
        _write_selection(group, project)
        _write_labels(group, project)
        write_export(storage(file, "Object Information Export"), project.export.over(EXPORT_DEFAULTS))
        write_own(file, project)


def extend_project(source: str, target: str, project: Project, kept: Sequence[int] | None = None) -> None:
    """Write a copy of a project with other classes, labels, forest, training table and facts, and with other lanes.

    Where features or thresholds are others, they are written, too, and what ilastik has stored of objects is left out.
    Everything else stays as it is: images stored in the project, the classification of pixels, settings of the window
    and of exports, stored features.

    Parameters
    ----------
    source, target
        Path of the project, and of the file to write.
    project
        The new content; its ``path`` is the final place of the file, to which paths of images are relative.
    kept
        The lanes of the copied project, from 0, that are the first ones of the new content; by default all of them.

    Raises
    ------
    ProjectError
        If the project is too old.
    """
    with opened(source) as old, Hdf5File(target, libver=LIBRARY, track_order=False) as file:
        if "Role Names" not in old["Input Data"]:
            message = f"{source} is of an ilastik before 1.0: save it in a present one to add labels to it"
            raise ProjectError(message)
        has_others = _are_others(old, project)
        has_other_threshold = "ThresholdTwoLevels" in old and project.threshold != read_threshold(
            old["ThresholdTwoLevels"], project.role
        )
        left_out = {*LEARNED, *(SELECTED if has_others else ())}
        groups = {f"ObjectClassification/{name}" for name in left_out} | {GROUP}
        groups |= {"ObjectExtraction"} if has_others or has_other_threshold else set()
        groups |= {"ThresholdTwoLevels"} if has_other_threshold else set()
        lanes = read_lanes(old["Input Data"])
        if kept is not None and list(kept) != list(range(len(lanes))):
            groups |= {*OF_LANES, *CACHED}
            groups |= {one.inside for lane in lanes for one in lane.values()} - _inside(project)
        _copy(old, file, groups | set(project.images))
        _copy_lanes(old, file, range(len(lanes)) if kept is None else kept)
        infos = file["Input Data"].require_group("infos")
        _write_paths(infos, source, project)
        _write_lanes(file["Input Data"], project, len(infos))
        write_images(file, project.lanes, project.images, None)
        if has_other_threshold:
            _write_threshold(storage(file, "ThresholdTwoLevels"), project.threshold)
        elif "ThresholdTwoLevels/MaxSize" in file:
            _cut_maximum_size(file["ThresholdTwoLevels"], project.path)
        if "ObjectExtraction" not in file:
            _write_extraction(file, project)
        group = file["ObjectClassification"]
        _write_classes(group, project)
        if has_others:
            _write_selection(group, project)
        _write_labels(group, project)
        write_own(file, project)


def _are_others(old: h5py.File, project: Project) -> bool:
    """Whether the features of a project are others than those of a file."""
    return read_features(old["ObjectClassification/SelectedFeatures"])[0] != project.selected or (
        read_features(old["ObjectExtraction/Features"])[1] != project.margin
    )


def _copy(source: h5py.Group, target: h5py.Group, left_out: Collection[str], inside: str = "") -> None:
    """Copy a group but for what is left out, so that nothing in the new file takes room for nothing."""
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name in source:
        path = f"{inside}{name}"
        if path in left_out:
            continue
        if any(one.startswith(f"{path}/") for one in left_out):
            _copy(source[name], target.create_group(name), left_out, f"{path}/")
        else:
            source.copy(name, target, name=name)


def _inside(project: Project) -> set[str]:
    """The names of the images that are stored inside of a project."""
    return {one.inside for lane in project.lanes for one in lane.values()}


def _copy_lanes(source: h5py.File, target: h5py.File, kept: Sequence[int]) -> None:
    """Copy what there is of some lanes, which are numbered anew; nothing, where all were copied already."""
    for path in OF_LANES:
        if path not in source or path in target:
            continue
        group, names = target.create_group(path), sorted(source[path])
        for number, name in enumerate(names[k] for k in kept if k < len(names)):
            stem = name.rstrip("0123456789")
            source.copy(f"{path}/{name}", group, f"{stem}{number:0{len(name) - len(stem)}d}")


def _write_paths(infos: h5py.Group, source: str, project: Project) -> None:
    """Paths of images that are elsewhere now, and those that are relative to the old place of the project."""
    old, new = (os.path.dirname(os.path.realpath(path)) for path in (source, project.path))
    for lane, info in zip(project.lanes, infos.values(), strict=False):
        for role, given in lane.items():
            known = info.get(ROLE_NAMES.get(role, role), {})
            if given.inside or "filePath" not in known:
                continue
            stored = stored_text(known["filePath"]).replace("\\", "/")
            is_kept = old == new or os.path.isabs(stored)
            if not is_kept or _whole(old, stored) != _whole(new, given.path):
                del known["filePath"]
                known["filePath"] = given.path.encode()


def _whole(folder: str, path: str) -> str:
    return os.path.normpath(joined_to(folder, path))


def _cut_maximum_size(group: h5py.Group, path: str) -> None:
    """Limit the maximum size to 32 bits, the width of the field in ilastik's window."""
    if stored_number(group["MaxSize"]) > MAXIMUM_SIZE:
        del group["MaxSize"]
        group["MaxSize"] = MAXIMUM_SIZE
        log.warning(
            "%s: the maximum size of objects is reduced to %d, the largest that ilastik can show",
            path,
            MAXIMUM_SIZE,
        )


def storage(file: h5py.File, name: str) -> h5py.Group:
    """A group with a ``StorageVersion``, without which ilastik ignores it."""
    group = file.create_group(name)
    group["StorageVersion"] = b"0.1"
    return group


def _write_inputs(group: h5py.Group, project: Project) -> None:
    group["StorageVersion"] = b"0.2"
    group["Role Names"] = [ROLE_NAMES[role].encode() for role in _roles(project)]
    group.create_group("local_data")
    _write_lanes(group, project, 0)


def _roles(project: Project) -> tuple[str, ...]:
    return ("raw_data", *(() if project.classifies_pixels else (project.role,)), "atlas")


def _write_lanes(group: h5py.Group, project: Project, first: int) -> None:
    for number, lane in list(enumerate(project.lanes))[first:]:
        for role in _roles(project):
            info = group.create_group(f"infos/lane{number:04d}/{ROLE_NAMES[role]}")
            if role in lane:
                write_info(info, lane[role])
        if project.classifies_pixels:
            group.file.require_group(f"PixelClassification/LabelSets/labels{number:03d}")


def write_info(info: h5py.Group, given: TrainingInput) -> None:
    """What the project says of an image that it was trained on."""
    info["__class__"] = b"ProjectInternalDatasetInfo" if given.inside else b"RelativeFilesystemDatasetInfo"
    info["filePath"] = given.path.encode()
    info["location"] = b"ProjectInternal" if given.inside else b"FileSystem"
    if given.inside:
        info["inner_path"] = given.inside.encode()
    info["nickname"] = given.nickname.encode()
    if given.axes:  # old projects say neither
        info["axistags"] = axistags(given.axes).encode()
    if given.shape:
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
    group["MaxSize"] = threshold.max_size if threshold.max_size is not None else MAXIMUM_SIZE
    for axis, sigma in zip("xyz", threshold.sigmas, strict=True):
        group[f"SmootherSigma/{axis}"] = float(sigma)


def write_export(group: h5py.Group, export: ExportSettings) -> None:
    """Settings of result images."""
    texts = {
        "OutputFilenameFormat": export.output_filename_format,
        "OutputFormat": export.output_format,
        "OutputInternalPath": export.output_internal_path,
        "ExportDtype": export.export_dtype,
        "OutputAxisOrder": export.output_axis_order,
    }
    for name, text in texts.items():
        if text is not None:
            group[name] = text.encode()
    for kind, bounds in (("Input", export.pipeline_result_drange), ("Export", export.export_drange)):
        if bounds is not None:
            group[f"{kind}Min"], group[f"{kind}Max"] = bounds
    if export.cutout_subregion is not None:
        for name, corner in zip(("RegionStart", "RegionStop"), export.cutout_subregion, strict=True):
            group[name] = [-1 if n is None else n for n in corner]


def _write_features(group: h5py.Group, keys: tuple[Key, ...], margin: tuple[int, ...]) -> None:
    for plugin, name in keys:
        leaf = group.create_group(f"{plugin}/{name}")
        if name.endswith("neighborhood"):
            leaf["margin"] = np.array(margin, np.int64)


def write_names(group: h5py.Group, classes: Sequence[str], colors: Sequence[tuple[int, int, int]]) -> None:
    """Write names and colours of the classes."""
    names = np.array([name.encode() for name in classes], dtype=h5py.string_dtype())
    rows = np.array(colors, np.int64).reshape(-1, 3)
    for name, values in (("LabelNames", names), ("LabelColors", rows), ("PmapColors", rows)):
        group[name] = values
        group[name].attrs["isEmpty"] = np.bool_(False)


def _write_classes(group: h5py.Group, project: Project) -> None:
    write_names(group, project.classes, project.colors)
    group["MaxNumObj"] = len(project.classes) - 1


def _write_extraction(file: h5py.File, project: Project) -> None:
    extraction = storage(file, "ObjectExtraction")
    _write_features(extraction.create_group("Features"), project.computed, project.margin)


def _write_selection(group: h5py.Group, project: Project) -> None:
    """Write the features that the forest uses, and the table that shows them."""
    _write_features(group.create_group("SelectedFeatures"), project.selected, project.margin)
    if project.table is not None:
        group["ExportSettings"] = np.void(_table_pickle(project.table))
        group["ExportSettings"].attrs["version"] = 1


def _write_labels(group: h5py.Group, project: Project) -> None:
    """Write the labels, and the forest that was trained on them."""
    for lane, steps in sorted(project.labels.items()):
        for t, classes in steps.items():
            group[f"LabelInputs/{lane:04d}/{t}"] = np.asarray(classes, np.float64)
    if project.forest is not None:
        known = range(1, project.forest.classes + 1)
        write_forests(group.create_group("ClassifierForests"), (project.forest,), known)


def write_forests(group: h5py.Group, forests: Sequence[Forest], known: Sequence[int]) -> None:
    """The forests of a classifier, and the numbers of the classes that they know."""
    labels = np.array(known, np.uint32)
    group["known_labels"] = labels
    group["pickled_type"] = FOREST_CLASS
    for number, forest in enumerate(forests):
        _write_forest(group.create_group(f"Forest{number:04d}"), forest, labels)


def _write_forest(root: h5py.Group, forest: Forest, labels: NDArray[np.uint32]) -> None:
    root.attrs["vigra_random_forest_version"] = 0.1
    options = {"tree_count_": forest.trees, "predict_weighted_": float(forest.weighted)}
    external = {"column_count_": forest.columns, "class_count_": forest.classes}
    for name, value in options.items():
        root[f"_options/{name}"] = np.array([value], np.float64)
    for name, value in external.items():
        root[f"_ext_param/{name}"] = np.array([value], np.float64)
    root["_ext_param/labels"] = labels
    digits = len(str(max(forest.trees - 1, 0)))
    for number, (topology, parameters) in enumerate(encode(forest)):
        tree = root.create_group(f"Tree_{number:0{digits}d}")
        tree["topology"] = topology
        tree["parameters"] = parameters


def _table_pickle(table: TableSettings) -> bytes:
    """The settings of the table as a pickle of protocol 0 (text), which ilastik expects."""

    def text(value: str) -> str:
        plain = value.replace("\\", "\\u005c").replace("\n", "\\u000a")
        return f"V{plain.encode('raw_unicode_escape').decode('latin-1')}\n"

    settings = (
        f"(d{text('file type')}{text(table.file_type)}s{text('file path')}{text(table.path)}s"
        f"{text('compression')}(ds"
    )
    features = "(l" + "".join(f"{text(name)}a" for name in table.features)
    return f"({settings}{features}t.".encode("latin-1")
