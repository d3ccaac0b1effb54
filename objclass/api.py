"""The Python interface: `predict`, `measure`, `learn` and related functions, on arrays or on paths as on the command line."""

import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from objclass.compute import machine
from objclass.compute.context import Context
from objclass.core import AnyArray, FeatureTable, Image, Lane, PixelSize
from objclass.door import door
from objclass.errors import UsageError
from objclass.export.arrays import SOURCES, PaintedArray
from objclass.export.columns import Rows, filled, ilastik_columns, layout_of
from objclass.features.contract import choose, feature_rows, feature_set
from objclass.images.lazy import LazyImage
from objclass.pipeline.given import given_image, given_raw
from objclass.pipeline.lane import collect, run_lane
from objclass.pipeline.pairing import OBJECT_ROLES, Inputs
from objclass.pipeline.plan import FROM_FILE, FromFile, Plan, check_lane, plan_for
from objclass.pixels.chain import kept
from objclass.project.model import Project
from objclass.project.open import open_any
from objclass.project.open import open_project as read_project
from objclass.project.pixel_model import PixelProject
from objclass.settings import ResourceSettings, parse_size
from objclass.training.complete import completed
from objclass.training.measurement import Measurement
from objclass.training.novelty_of import with_novelty
from objclass.training.pixel_lanes import open_lane
from objclass.training.pixels import PixelTrainingRequest, trained_on

if TYPE_CHECKING:
    from pandas import DataFrame

    from objclass.evaluation.frames import EvaluationResult
    from objclass.training.classifier import Classifier

SHAPE = ("area", "bbox", "centroid")
INTENSITY = ("intensity_max", "intensity_mean", "intensity_min")
"""Default features of `measure`, from the set ``regionprops``; those of `INTENSITY` need an intensity image."""

IMAGES = tuple(SOURCES)
"""Images that `predict` can paint."""

Progress = Callable[[float], None] | bool | None
"""A function that is called with the completed fraction (0 to 1), or True for a progress bar."""


@dataclass(frozen=True, repr=False)
class Result:
    """Table and images of one classified image.

    Parameters
    ----------
    table
        A row for each object, in the order of ``label``, which is the value of its pixels in `labels`: for a
        label image the ids that were given. ``timestep`` only where there is time; then class, probabilities
        and features as in the table of the command line.
    labels
        Label image in the axes of the segmentation (label image, prediction maps without their channel); 0 is
        background. The integer dtype of a label image, else uint32. None if it was not asked for.
    classes
        Class image, uint8, of the same shape: 0 is background, classes count from 1. None if it was not asked
        for.
    probabilities
        float32, the same shape with the classes as last axis. None if they were not asked for.
    class_names
        Names of the classes 1, 2 …
    """

    table: "DataFrame"
    labels: AnyArray | None = None
    classes: AnyArray | None = None
    probabilities: AnyArray | None = None
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        painted = [name for name in IMAGES if getattr(self, name) is not None]
        return (
            f"<Result: {len(self.table)} objects of the classes {', '.join(self.class_names)}; "
            f"images: {', '.join(painted) or 'none'}>"
        )


@door()
def open_project(path: str | os.PathLike[str]) -> Project:
    """Open a project, read-only.

    Parameters
    ----------
    path
        An ``.ilp`` file of ilastik or of ours.

    Raises
    ------
    ObjclassError
        If the project cannot be read; the message says why in one line.
    """
    return read_project(os.fspath(path))


@door(input_axes="axes=")
def open_image(
    image: Any,
    *,
    axes: str | None = None,
    stack_along: str = "z",
    pixel_size: PixelSize | float | Sequence[float] | None = None,
) -> LazyImage:
    """Open an image lazily: its header is read now, its pixels on demand.

    Parameters
    ----------
    image
        A path as on the command line (``file.h5/dataset``, a glob of a stack, a URL …), or an array.
    axes
        A letter of ``"tzyxc"`` for each axis; overrides the file.
    stack_along
        The axis along which the files of a stack are joined.
    pixel_size
        Overrides the file: a number, numbers in the order of its axes y, x or z, y, x, or a
        `PixelSize`.

    Raises
    ------
    ObjclassError
        If there is no such image, or its axes do not fit.
    """
    found = given_image(image, axes, "image", "raw_data", stack_along=stack_along)
    if pixel_size is not None:
        found = replace(found, pixel_size=_pixel_size(pixel_size, found, "pixel_size"))
    return LazyImage(found)


@door(
    input_axes="axes=",
    raw_data="raw=",
    prediction_mask="mask=",
    ignore_training_axistags="ignore_training_axes=",
    jobs="n_jobs=",
)
def predict_pixels(
    project: Project | PixelProject | str | os.PathLike[str],
    raw: Any,
    *,
    mask: Any = None,
    axes: str | None = None,
    ignore_training_axes: bool = False,
    n_jobs: int | None = None,
    max_memory: int | str | None = None,
) -> LazyImage:
    """Classify the pixels of an image.

    Parameters
    ----------
    project
        A pixel classification (autocontext too), or a project that classifies pixels and objects; or its path.
    raw
        Raw data: an array (numpy, dask, zarr, h5py, xarray: read by region), an image of `open_image`, or a
        path as on the command line.
    mask
        An image of the same shape: where it is 0, probabilities are 0.
    axes
        Axes of raw data, such as ``"zyxc"``. By default those that the project was trained with, where they fit.
    ignore_training_axes
        Whether the image says its axes itself, rather than the project.
    n_jobs
        Threads: None for one, -1 for all cores. Results do not depend on it.
    max_memory
        Memory to work with in bytes, or a text such as ``"4GB"``; by default half of the free memory.

    Returns
    -------
    LazyImage
        Probabilities, float32, in the axes of raw data with the classes as channels. They are computed for the
        region that is asked for: ``image[10:20]``; ``np.asarray(image)`` computes all.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.

    Examples
    --------
    >>> probabilities = predict_pixels("Pixel.ilp", raw)  # doctest: +SKIP
    >>> segmentation = np.asarray(probabilities).argmax(axis=-1) + 1  # doctest: +SKIP
    """
    project = project if isinstance(project, Project | PixelProject) else open_any(os.fspath(project))
    if isinstance(project, Project) and not project.classifies_pixels:
        message = f"{project.path} is of the workflow '{project.workflow}', which classifies no pixels"
        raise UsageError(message)
    with _context(n_jobs, max_memory, None) as context:
        project = completed(project, context)
        chain = project.pixels
        assert chain is not None
        trained = None if ignore_training_axes else project
        image = given_image(raw, axes, "raw", "raw_data", trained, context)
        inside = (
            given_image(mask, None, "mask", "segmentation_image", None, context) if mask is not None else None
        )
        if inside is not None and inside.shape[:4] != image.shape[:4]:
            message = f"mask of shape {inside.stored.shape}: expected that of raw, {image.stored.shape}, without channels"
            raise UsageError(message)
        return LazyImage(chain.probabilities(image, context, inside))


@door(
    input_axes="axes=",
    raw_data="raws=",
    pixel_features="features=",
    label_offset="np.pad",
    label_mapping="np.where",
    jobs="n_jobs=",
)
def train_pixels(
    raws: Any,
    labels: Any,
    *,
    features: str | Sequence[str] = (),
    class_names: Sequence[str] = (),
    compute_in_2d: bool | float | Sequence[float] = False,
    trees: int = 100,
    seed: int = 0,
    axes: str | None = None,
    n_jobs: int | None = None,
    max_memory: int | str | None = None,
    progress: Progress = None,
) -> PixelProject:
    """Train a pixel classification on images and painted labels.

    Parameters
    ----------
    raws
        Raw data: a list of images, or one; each an array (numpy, dask, zarr, h5py, xarray: read by region), an image
        of `open_image`, or a path as on the command line.
    labels
        A painted image for each, of the same shape without channels, given in the same ways: 0 is unlabelled, classes
        count from 1.
    features
        Filters and scales, such as ``["gaussian:0.7,1.6", "hessian"]``; by default ilastik's usual selection, as far
        as the images are large enough.
    class_names
        Names of the classes 1, 2 …; by default ``Class 1`` and so on.
    compute_in_2d
        Whether the planes of volumes are filtered one by one, or at which scales they are.
    trees, seed
        Number of trees and random state; the same input results in the same project.
    axes
        Axes of raw data, such as ``"zyxc"``. By default those that the images state; else by shape.
    n_jobs
        Threads: None for one, -1 for all cores. Results do not depend on it.
    max_memory
        Memory to work with in bytes, or a text such as ``"4GB"``; by default half of the free memory.
    progress
        A function that is called with the completed fraction (0 to 1) of each image; True shows a progress bar.

    Returns
    -------
    PixelProject
        For `predict_pixels`; ``save`` writes it for the command line and for ilastik, with images that were given
        as arrays inside.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.

    Examples
    --------
    >>> project = train_pixels([a, b], [strokes_a, strokes_b], class_names=["background", "cell"])  # doctest: +SKIP
    >>> probabilities = predict_pixels(project, c)  # doctest: +SKIP
    """
    raws, labels = _several(raws), _several(labels)
    if len(raws) != len(labels) or not raws:
        message = f"{len(raws)} raws and {len(labels)} labels: expected a painted image for each raw image"
        raise UsageError(message)
    if any(raw is paint for raw, paint in zip(raws, labels, strict=True)):
        message = "labels are the raw images: expected painted images, 0 where nothing is painted"
        raise UsageError(message)
    is_flag = isinstance(compute_in_2d, bool)
    planar = (() if compute_in_2d else None) if is_flag else np.atleast_1d(compute_in_2d).tolist()
    lesson = PixelTrainingRequest(
        project="",
        inputs=Inputs({}),
        labels=(),
        class_names=tuple(class_names),
        features=(features,) if isinstance(features, str) else tuple(features),
        planar=planar,
        trees=trees,
        seed=seed,
    )
    with _context(n_jobs, max_memory, progress) as context:
        lanes, painted = [], []
        for number, (raw, paint) in enumerate(zip(raws, labels, strict=True)):
            lanes.append(
                open_lane(given_image(raw, axes, f"raws[{number}]", "raw_data", None, context), number)
            )
            marks = given_image(paint, None, f"labels[{number}]", "label_image", None, context)
            painted.append(marks if marks.files else replace(marks, name=f"of raws[{number}]"))
        return trained_on(lesson, lanes, painted, context)


def _several(images: Any) -> list[Any]:
    """Images of a list, or the only one."""
    return list(images) if isinstance(images, list | tuple) else [images]


def list_features() -> "DataFrame":
    """Every feature: set, name, column in tables, unit, dims, channels and definition.

    Returns
    -------
    pandas.DataFrame
        A row for each feature. ``dims`` are the dimensions of images for which it is defined, ``(2, 3)`` or one
        of them; ``channels`` the channels of the raw data: any, one or many. `measure` selects a feature by
        ``"set:name"``.
    """
    from pandas import DataFrame

    rows = DataFrame(feature_rows())
    return rows.assign(dims=rows["dims"].map(tuple))


@door(
    input_axes="axes= or raw_axes=",
    raw_data="raw=",
    segmentation_image="segmentation=",
    channel="a slice, image[..., 0]",
    ignore_training_axistags="ignore_training_axes=",
    jobs="n_jobs=",
)
def predict(
    project: Project | str | os.PathLike[str],
    raw: Any,
    segmentation: Any = None,
    *,
    prediction_maps: Any = None,
    label_image: Any = None,
    images: Sequence[str] = ("labels", "classes", "probabilities"),
    raw_axes: str | None = None,
    axes: str | None = None,
    ignore_training_axes: bool = False,
    name: str | None = None,
    novelty: bool = False,
    n_jobs: int | None = None,
    max_memory: int | str | None = None,
    progress: Progress = None,
) -> Result:
    """Classify the objects of an image.

    Parameters
    ----------
    project
        From `open_project`, or its path.
    raw
        Raw data: an array (numpy, dask, zarr, h5py, xarray: read by region), an image of `open_image`, or a
        path as on the command line.
    segmentation, prediction_maps, label_image
        The second input of the project's workflow, likewise: one of them; none for a project that classifies
        pixels and objects.
    images
        The images to paint: any of ``"labels"``, ``"classes"``, ``"probabilities"``; ``()`` for the table alone.
    raw_axes, axes
        Axes of raw data and of the second input, such as ``"zyxc"``. By default those of the
        project's training images, where they fit (as on the command line); else those that the image has; else by shape:
        segmentations and label images are yx, zyx, tzyx, and raw data have the same axes, then channels.
    ignore_training_axes
        Whether to take the axes from the images, rather than from the project.
    name
        Content of a column ``Image``; by default there is no such column.
    novelty
        Whether the table has a column ``Novelty`` also for projects of ilastik: the distance to the nearest labelled
        object, above 1 it is novel. Tables of projects that objclass has trained always have it.
    n_jobs
        Threads: None for one, -1 for all cores. Results do not depend on it.
    max_memory
        Memory to work with in bytes, or a text such as ``"4GB"``; by default half of the free memory. The
        images that are returned come on top of it.
    progress
        A function that is called with the completed fraction (0 to 1); True shows a progress bar.

    Returns
    -------
    Result
        Table and images.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.

    Examples
    --------
    >>> result = predict("P.ilp", raw, segmentation=mask, images=["classes"])  # doctest: +SKIP
    """
    if isinstance(project, PixelProject):
        message = "a pixel project finds no objects: predict_pixels computes its probabilities"
        raise UsageError(message)
    project = project if isinstance(project, Project) else read_project(os.fspath(project))
    images = _wanted_images(images)
    given = dict(zip(OBJECT_ROLES, (segmentation, prediction_maps, label_image), strict=True))
    roles = [role for role, image in given.items() if image is not None]
    if project.classifies_pixels and not roles:
        return _predict_from_raw(
            project,
            raw,
            images,
            raw_axes,
            ignore_training_axes,
            name,
            novelty,
            (n_jobs, max_memory, progress),
        )
    if roles != [project.role]:
        names = ", ".join(f"--{role}" for role in roles) or "none"
        message = f"{project.path}: expected --{project.role} (and --raw_data), got {names}"
        raise UsageError(message)
    trained = None if ignore_training_axes else project
    given_as = project.role.removesuffix("_image") if segmentation is not None else project.role
    with _context(n_jobs, max_memory, progress) as context:
        project = _completed(project, context, novelty=novelty)
        objects = given_image(given[project.role], axes, given_as, project.role, trained, context)
        raw_image = given_raw(raw, raw_axes, "raw", objects, trained, context)
        lane = Lane(raw_image, objects, project.role, name or "", "")
        plan = plan_for(project, [lane])
        check_lane(lane, plan)
        table, painted = _run(lane, plan, images, context)
    return Result(table, **painted, class_names=project.classes)


def _completed(project: Project, context: Context, *, novelty: bool) -> Project:
    """The project with all its classifiers, and with what objects are compared with if that is asked for."""
    project = completed(project, context)
    return with_novelty(project) if novelty else project


def _predict_from_raw(
    project: Project,
    raw: Any,
    images: Sequence[str],
    raw_axes: str | None,
    ignore_training_axes: bool,  # noqa: FBT001
    name: str | None,
    novelty: bool,  # noqa: FBT001
    resources: tuple[int | None, int | str | None, Progress],
) -> Result:
    """`predict` of a project that classifies pixels and objects."""
    with _context(*resources) as context:
        project = _completed(project, context, novelty=novelty)
        assert project.pixels is not None
        trained = None if ignore_training_axes else project
        image = given_image(raw, raw_axes, "raw", "raw_data", trained, context)
        maps = kept(project.pixels.probabilities(image, context), context)
        lane = Lane(image, maps, project.role, name or "", "")
        plan = plan_for(project, [lane])
        check_lane(lane, plan)
        table, painted = _run(lane, plan, images, context)
    return Result(table, **painted, class_names=project.classes)


@door(
    input_axes="axes= or intensity_axes=",
    raw_data="intensity=",
    pixel_size="spacing=",
    label_image="labels=",
    prediction_maps="skimage.measure.label(maps > 0.5)",
    channel="a slice, image[..., 0]",
    jobs="n_jobs=",
)
def measure(
    labels: Any,
    intensity: Any = None,
    *,
    features: str | Sequence[str] | None = None,
    spacing: PixelSize | float | Sequence[float] | FromFile | None = None,
    axes: str | None = None,
    intensity_axes: str | None = None,
    margin: int = 30,
    n_jobs: int | None = None,
    max_memory: int | str | None = None,
    progress: Progress = None,
) -> "DataFrame":
    """Measure the objects of a label image; no project is needed.

    Parameters
    ----------
    labels
        Label image, each value an object, 0 background: an array (numpy, dask, zarr, h5py, xarray: read by
        region), an image of `open_image`, or a path as on the command line.
    intensity
        Raw data of the same shape, given in the same ways, with channels as last axis if there are several.
    features
        Names of regionprops (``"area"``), whole sets (``"Standard Object Features"``), or ``"set:feature"``:
        `list_features` returns all of them. By default area, bbox and centroid, and with ``intensity`` its
        maximum, mean and minimum.
    spacing
        Extent of a pixel, a number, or one for each axis y, x or z, y, x: the unit in which regionprops are
        measured. ``"file"``: the pixel size stored in the image. By default lengths are in pixels.
    axes, intensity_axes
        Axes of the images, such as ``"tyx"``. By default those stored in them; else labels are yx, zyx, tzyx or tzyxc
        by number of axes, and ``intensity`` has the same, then channels.
    margin
        Neighbourhood in pixels, for features that look around an object.
    n_jobs
        Threads: None for one, -1 for all cores. Results do not depend on it.
    max_memory
        Memory to work with in bytes, or a text such as ``"4GB"``; by default half of the free memory.
    progress
        A function that is called with the completed fraction (0 to 1); True shows a progress bar.

    Returns
    -------
    pandas.DataFrame
        A row for each object, in the order of ``label``, its value in ``labels``; ``timestep`` only where
        there is time.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 5), np.uint8)
    >>> labels[1:3, 1:4] = 7
    >>> measure(labels, features=["area", "centroid"])
       label  area  centroid-0  centroid-1
    0      7   6.0         1.5         2.0
    """
    with _context(n_jobs, max_memory, progress) as context:
        objects = given_image(labels, axes, "labels", "label_image", context=context)
        raw = None
        if intensity is not None:
            raw = given_raw(intensity, intensity_axes, "intensity", objects, context=context)
        lane = Lane(raw, objects, "label_image", "", "")
        chosen = tuple(choose(_full_names(features, is_raw=raw is not None), objects.ndim, lane.channels))
        size = _spacing(spacing, objects)
        plan = Plan(chosen, chosen, margin=(margin,) * objects.ndim, pixel_size=size)
        check_lane(lane, plan)
        return _run(lane, plan, (), context)[0]


@door()
def learn(
    table: "DataFrame",
    classes: Any,
    *,
    features: Sequence[str] | None = None,
    trees: int = 100,
    seed: int = 0,
    class_weight: str | None = None,
) -> "Classifier":
    """Train a classifier on a table of objects.

    Parameters
    ----------
    table
        The result of `measure` or `predict`, or a table of your own.
    classes
        The class of each row; None, NaN or ``""`` where it is unknown. Or a mapping from label to class.
    features
        Columns to learn from. By default the features that were measured, without those of location
        (centres, boxes); in a table of your own, all numeric columns except ids, positions, probabilities and the classes
        themselves (a warning lists them).
    trees, seed
        Number of trees and random state; the same table and seed result in the same classifier.
    class_weight
        ``"balanced"``: objects of rare classes count more, so that each class counts the same.

    Returns
    -------
    Classifier
        With ``predict``, ``predict_proba``, ``classes_``, and ``save``, which writes a project.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.
    """
    from objclass.training.classifier import Classifier

    return Classifier(trees=trees, seed=seed, features=features, class_weight=class_weight).fit(
        table, classes
    )


@door(jobs="n_jobs=")
def evaluate(
    table: Any,
    classes: Any = None,
    groups: Any = None,
    *,
    classifier: "Classifier | None" = None,
    folds: int = 5,
    repeats: int = 5,
    group_by: str | None = None,
    seed: int | None = None,
    n_jobs: int | None = None,
) -> "EvaluationResult":
    """Say how good a classifier is, by cross-validation: it is judged on groups that it has not seen.

    Parameters
    ----------
    table
        A table as for `learn`; or a project with labels, or its path.
    classes
        The class of each row, as for `learn`. Not for a project.
    groups
        What each row is held out with, such as ``table["image"]`` or the name of a column. By default its image, if the
        table has a column for it; else regions of the image or stretches of time, if positions or time steps are known.
    classifier
        How to learn; by default as `learn` and projects do.
    folds, repeats
        Number of folds, and how many times they are drawn.
    group_by
        In place of the default: ``"image"``, ``"region"``, ``"time"``, or ``"track"`` for a project that has tracks.
    seed
        Random state of folds and forests; by default that of the classifier.
    n_jobs
        Threads: None for one, -1 for all cores. Results do not depend on it.

    Returns
    -------
    EvaluationResult
        With the tables ``scores``, ``by_class``, ``confusion``, ``predictions``, ``importances``, ``learning_curve``,
        ``calibration`` and ``by_image``, with ``cautions``, and a ``summary()`` to print.

    Raises
    ------
    ObjclassError
        If an input cannot be used, or inputs do not fit each other; the message says why in one line.
    """
    from objclass.evaluation.frames import EvaluationResult
    from objclass.evaluation.settings import EvaluationSettings
    from objclass.training.judge import evaluate_project, grown_like

    settings = EvaluationSettings(
        folds=folds, repeats=repeats, group_by=group_by or "", learning_curve=True, importances=True
    )
    with _context(n_jobs, None, None) as context:
        if isinstance(table, str | os.PathLike | Project):
            if classes is not None or groups is not None or classifier is not None:
                message = "classes=, groups=, classifier=: a project is judged by its own labels"
                raise UsageError(message)
            project = table if isinstance(table, Project) else read_project(os.fspath(table))
            settings = grown_like(project, settings, seed)
            return EvaluationResult(evaluate_project(project, settings, context))
        from objclass.training.classifier import Classifier
        from objclass.training.judged_table import evaluate_table

        learner = classifier or Classifier()
        settings = replace(
            settings,
            trees=learner.trees,
            seed=learner.seed if seed is None else seed,
            balanced=learner.class_weight == "balanced",
        )
        return evaluate_table(learner, table, classes, groups, settings, context)


def _pixel_size(given: PixelSize | float | Sequence[float], image: Image, name: str) -> PixelSize:
    """A number, or numbers in the order of the image's axes y, x (z, y, x)."""
    if isinstance(given, PixelSize):
        return given
    axes = [axis for axis in image.axes if axis in "zyx"]
    try:
        numbers = [float(given)] * len(axes) if np.ndim(given) == 0 else [float(n) for n in given]  # type: ignore[arg-type, union-attr]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != len(axes):
        message = f"{name}={given!r}: expected a number, or {len(axes)} of them, for {', '.join(axes)}"
        raise UsageError(message)
    lengths: dict[str, Any] = dict(zip(axes, numbers, strict=True))
    return PixelSize(**lengths)


def _spacing(
    given: PixelSize | float | Sequence[float] | FromFile | None, image: Image
) -> PixelSize | FromFile | None:
    if given is None or isinstance(given, str):
        if given not in (None, FROM_FILE):
            message = f"spacing={given!r}: expected numbers, or 'file' for the pixel size stored in the image"
            raise UsageError(message)
        return given
    return _pixel_size(given, image, "spacing")


def _full_names(features: str | Sequence[str] | None, *, is_raw: bool) -> list[str]:
    """Names as `choose` takes them: names of regionprops get the prefix ``regionprops:``."""
    if features is None:
        features = [*SHAPE, *INTENSITY] if is_raw else SHAPE
    names = [features] if isinstance(features, str) else list(features)
    properties = list(feature_set("regionprops") or ())
    return [f"regionprops:{name}" if name in properties else name for name in names]


def _wanted_images(images: Sequence[str]) -> list[str]:
    names = [images] if isinstance(images, str) else list(images)
    unknown = [name for name in names if name not in IMAGES]
    if unknown:
        message = f"images={images!r}: expected any of {', '.join(IMAGES)}"
        raise UsageError(message)
    return names


@contextmanager
def _context(n_jobs: int | None, max_memory: int | str | None, progress: Progress) -> Iterator[Context]:
    """The context (threads, memory, progress) of a call."""
    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else machine.cores() + 1 + n_jobs
    if n_jobs == 0 or jobs < 1:
        message = f"n_jobs={n_jobs}: expected a number of threads, or -1 for all cores"
        raise UsageError(message)
    try:
        memory = None if max_memory is None else parse_size(str(max_memory))
    except ArgumentTypeError as fault:
        message = f"max_memory={fault}"
        raise UsageError(message) from None
    with _reporter(progress) as report:
        yield Context.of(ResourceSettings(jobs, memory), progress=report)


def _run(
    lane: Lane, plan: Plan, images: Sequence[str], context: Context
) -> tuple["DataFrame", dict[str, AnyArray]]:
    """The table of a lane, and its images."""
    classes = plan.project.classes if plan.project is not None else ()
    painted = {name: PaintedArray(name, lane, len(classes)) for name in images}
    measured = []
    for step in run_lane(lane, plan, context):
        for image in painted.values():
            image.step(step, context)
        measured.append((step.table, step.predictions))
        context.progress(lane.nickname, (step.t + 1) / lane.objects.shape[0])
    table, predictions = collect(measured)
    rows = Rows(table, lane.nickname, lane.metadata, predictions)
    columns = filled(ilastik_columns(layout_of(lane, plan)), rows)
    found = {name: image.image() for name, image in painted.items()}
    return _annotated(_frame(columns, table, lane), lane, plan), found


def _frame(columns: Mapping[str, Any], table: FeatureTable, lane: Lane) -> "DataFrame":
    """Columns as a flat table, in the order of the user's labels."""
    from pandas import DataFrame

    labels = table.given.get("original_oid", table.label)
    ids = {"timestep": table.timestep} if "t" in lane.objects.axes else {}
    ids["label"] = labels if labels.dtype == np.uint64 else labels.astype(np.int64)
    dropped = {"object_id", "timestep", "labelimage_oid", "original_oid", "User Label"}
    if not lane.nickname:
        dropped.add("Image")
    frame = DataFrame(ids | {name: values for name, values in columns.items() if name not in dropped})
    order = np.lexsort((labels, table.timestep))
    return frame.iloc[order].reset_index(drop=True)


def _annotated(table: "DataFrame", lane: Lane, plan: Plan) -> "DataFrame":
    """The table, annotated with the features that were measured: `learn` reads them."""
    size, ndim = plan.measured_size(lane), lane.objects.ndim
    keys = [list(feature.key) for feature in plan.shown]
    measurement = Measurement(
        keys, ndim, lane.channels, list(plan.margin), list(size.spacing(ndim)), size.unit
    )
    return measurement.note_in(table)


@contextmanager
def _reporter(progress: Progress) -> Iterator[Callable[[str, float], None]]:
    """The function that takes the completed fraction: the user's, that of a bar, or one that does nothing."""
    if callable(progress):
        yield lambda _, part: progress(part)
    elif progress:
        from tqdm.auto import tqdm

        with tqdm(total=1.0, bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:

            def show(_: str, part: float) -> None:
                bar.update(part - bar.n)

            yield show
    else:
        yield lambda _, __: None
