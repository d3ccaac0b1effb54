"""Write a pixel classification project in ilastik's layout."""

import os
from collections.abc import Sequence

import h5py
import numpy as np

from objclass.compute.hdf5_file import Hdf5File
from objclass.core import from_canonical
from objclass.images.attributes import axistags
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.features import PixelFeatures
from objclass.project.ilp_images import write_images
from objclass.project.ilp_write import VERSION, storage, write_export, write_forests, write_info, write_names
from objclass.project.model import ROLE_NAMES, TrainingInput
from objclass.project.pixel_model import PixelProject, PixelStage, Strokes
from objclass.settings import EXPORT_DEFAULTS

ROLES = ("raw_data", "prediction_mask")


def write_pixel_project(path: str, project: PixelProject, base: str | None = None) -> None:
    """Write a pixel classification that ilastik opens, predicts with and trains on.

    The same project gives the same bytes. The root ``time`` is `SOURCE_DATE_EPOCH`, or left out.

    Parameters
    ----------
    path
        The file to write.
    project
        Of one stage. Paths of its lanes are relative to the place where the file will be in the end.
    base
        The project from which images are copied that are stored in it, unless ``project`` brings them.
    """
    (stage,) = project.stages
    with Hdf5File(path, libver=("earliest", "v110"), track_order=False) as file:
        file["ilastikVersion"] = VERSION.encode()  # older ones would have labels in other axes
        file["workflowName"] = project.workflow.encode()
        if "SOURCE_DATE_EPOCH" in os.environ:
            file["time"] = os.environ["SOURCE_DATE_EPOCH"].encode()
        _write_inputs(file.create_group("Input Data"), project)
        write_images(file, project.lanes, project.images, base)
        _write_features(storage(file, "FeatureSelections"), stage.features)
        _write_stage(storage(file, "PixelClassification"), project, stage)
        write_export(storage(file, "Prediction Export"), project.export.over(EXPORT_DEFAULTS))


def _write_inputs(group: h5py.Group, project: PixelProject) -> None:
    group["StorageVersion"] = b"0.2"
    group["Role Names"] = [ROLE_NAMES[role].encode() for role in ROLES]
    group.create_group("local_data")
    for number, lane in enumerate(project.lanes):
        for role in ROLES:
            info = group.create_group(f"infos/lane{number:04d}/{ROLE_NAMES[role]}")
            if role in lane:
                write_info(info, lane[role])


def _write_features(group: h5py.Group, features: PixelFeatures) -> None:
    group["Scales"] = np.array(features.scales, np.float64)
    group["FeatureIds"] = np.array([name.encode() for name in features.filters], dtype=h5py.string_dtype())
    group["SelectionMatrix"] = features.selected
    group["ComputeIn2d"] = np.array(features.in_planes, bool)


def _write_stage(group: h5py.Group, project: PixelProject, stage: PixelStage) -> None:
    write_names(group, stage.classes, stage.colors)
    raws = [lane["raw_data"] for lane in project.lanes]
    for number, raw in enumerate(raws):
        labels = group.create_group(f"LabelSets/labels{number:03d}")
        for k, block in enumerate(stage.strokes.get(number, ())):
            _write_block(labels, f"block{k:04d}", block, raw)
    if stage.classifier is not None:
        _write_classifier(group.create_group("ClassifierForests"), stage.classifier, raws)


def _write_block(group: h5py.Group, name: str, block: Strokes, raw: TrainingInput) -> None:
    """Labels in the axes of their image, the channel last."""
    axes = f"{raw.axes.replace('c', '')}c"
    place = dict(zip("tzyxc", block.region, strict=True))
    group[name] = from_canonical(block.labels, axes)
    group[name].attrs["blockSlice"] = f"[{','.join(f'{place[a].start}:{place[a].stop}' for a in axes)}]"
    group[name].attrs["axistags"] = axistags(axes)


def _write_classifier(group: h5py.Group, classifier: PixelClassifier, raws: Sequence[TrainingInput]) -> None:
    write_forests(group, classifier.forests, classifier.known)
    lengths = next(dict(zip(raw.axes, raw.shape, strict=True)) for raw in raws if raw.shape)
    names = classifier.features.names(lengths.get("z", 1), lengths.get("c", 1))
    group["feature_names"] = np.array([name.encode() for name in names], dtype=h5py.string_dtype())
