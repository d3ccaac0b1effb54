"""The same from Python: `predict` and `measure` on arrays, or on what the command line takes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from objclass import images
from objclass.core import AnyArray, Image, Lane, PixelSize, from_canonical
from objclass.errors import UsageError
from objclass.export.columns import Columns, ilastik_columns
from objclass.export.paint import painter
from objclass.features.contract import choose
from objclass.pipeline.inputs import OBJECT_ROLES, with_training_axes
from objclass.pipeline.lane import Step, collect, run_lane
from objclass.pipeline.plan import Plan, check_lane, plan_for
from objclass.project.model import Project
from objclass.project.open import open_project
from objclass.training.retrain import retrained

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Result:
    """What was found in one image.

    Parameters
    ----------
    table
        A row for each object, index (timestep, label), columns as in the CSV.
    labels
        Label image, uint32, in the axes of the segmentation (label image, prediction maps without their
        channel): 0 is background.
    classes
        Class image, uint8, of the same shape: 0 is background, classes count from 1. None without project.
    probabilities
        float32, the same shape with the classes as last axis. None without project.
    """

    table: "DataFrame"
    labels: AnyArray
    classes: AnyArray | None = None
    probabilities: AnyArray | None = None


def predict(
    project: Project | str,
    raw: Any,
    segmentation: Any = None,
    *,
    prediction_maps: Any = None,
    label_image: Any = None,
    raw_axes: str | None = None,
    axes: str | None = None,
    name: str = "array",
) -> Result:
    """Classify the objects of an image.

    Parameters
    ----------
    project
        From `objclass.open_project`, or its path.
    raw
        Raw data: an array, anything with shape, dtype and slicing, or a path as on the command line.
    segmentation, prediction_maps, label_image
        The second input of the project's workflow, likewise.
    raw_axes, axes
        Axes of raw data and of the second input, such as ``"zyxc"``. By default those that the project
        was trained with, where they fit (as on the command line); else what the file says, or yx, zyx (yxc
        if the last axis is 4 or shorter), zyxc, tzyxc by number of axes.
    name
        What the column ``Image`` says where arrays are given.

    Raises
    ------
    ObjclassError
        With what does not fit.
    """
    project = project if isinstance(project, Project) else open_project(os.fspath(project))
    given = dict(zip(OBJECT_ROLES, (segmentation, prediction_maps, label_image), strict=True))
    roles = [role for role, image in given.items() if image is not None]
    if roles != [project.role]:
        message = f"{project.path}: expected {project.role} (and raw), got {', '.join(roles) or 'none'}"
        raise UsageError(message)
    if project.forest is None:
        project = retrained(project)
    lane = _lane(raw, given[project.role], project.role, raw_axes, axes, name, project)
    return _result(lane, plan_for(project, [lane]), name)


def measure(
    raw: Any,
    labels: Any,
    features: Sequence[str] = ("regionprops",),
    *,
    raw_axes: str | None = None,
    axes: str | None = None,
    margin: int = 30,
    pixel_size: PixelSize | None = None,
) -> "DataFrame":
    """Measure the objects of a label image; no project needed.

    Parameters
    ----------
    raw
        Raw data as for `predict`, or None to measure shape alone.
    labels
        Label image: each value is an object, 0 is background.
    features
        Feature sets, or ``"set:feature"``.
    margin
        Neighbourhood in pixels.
    pixel_size
        For features in physical units (spacing).

    Returns
    -------
    pandas.DataFrame
        A row for each object; index (timestep, label), where label is the value in ``labels``.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 5), np.uint8)
    >>> labels[1:3, 1:4] = 7
    >>> measure(None, labels, ["regionprops:area", "regionprops:centroid"])  # doctest: +NORMALIZE_WHITESPACE
                    area  centroid-0  centroid-1
    timestep label
    0        7       6.0         1.5         2.0
    """
    lane = _lane(raw, labels, "label_image", raw_axes, axes, "array")
    features = [features] if isinstance(features, str) else features
    chosen = tuple(choose(features, lane.objects.ndim, lane.channels))
    plan = Plan(chosen, chosen, margin=(margin,) * lane.objects.ndim, pixel_size=pixel_size)
    frame = _result(lane, plan, "array").table
    frame = frame.reset_index().drop(columns=["label", "object_id", "Image"])
    return frame.rename(columns={"original_oid": "label"}).set_index(["timestep", "label"])


def _lane(
    raw: Any, objects: Any, role: str, raw_axes: str | None, axes: str | None, name: str,
    project: Project | None = None,
) -> Lane:  # fmt: skip
    opened = _image(raw, raw_axes, "raw_data", project) if raw is not None else None
    return Lane(opened, _image(objects, axes, role, project), role, name, "")


def _image(given: Any, axes: str | None, role: str, project: Project | None) -> Image:
    if hasattr(given, "__fspath__"):
        given = given.__fspath__()
    if isinstance(given, str):
        image = images.open_image(given, axes=axes, axes_from="axes")
    else:
        image = images.from_array(given, axes, role)
    return image if axes or project is None else with_training_axes(image, role, project)


def _result(lane: Lane, plan: Plan, name: str) -> Result:
    check_lane(lane, plan)
    steps = list(run_lane(lane, plan))
    table, predictions = collect([(step.table, step.predictions) for step in steps])
    classes = plan.project.classes if plan.project is not None else ()
    columns = ilastik_columns(table, plan.shown, lane, name, classes, predictions)
    without_channel = lane.objects.axes.replace("c", "")
    if plan.project is None:
        return Result(_frame(columns), _painted(steps, "Object Identities", without_channel))
    return Result(
        _frame(columns),
        _painted(steps, "Object Identities", without_channel),
        _painted(steps, "Object Predictions", without_channel),
        _painted(steps, "Object Probabilities", f"{without_channel}c"),
    )


def _painted(steps: Sequence[Step], source: str, axes: str) -> AnyArray:
    frames = [painter(source, step.predictions)(step.objects.labels) for step in steps]
    return from_canonical(np.stack(frames), axes)


def _frame(columns: Columns) -> "DataFrame":
    from pandas import DataFrame

    frame = DataFrame(columns).rename(columns={"labelimage_oid": "label"})
    return frame.set_index(["timestep", "label"])
