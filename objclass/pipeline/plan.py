"""What to do with every lane, and whether a lane fits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from objclass.core import MICROMETRES, PIXEL_ROLE, PIXELS, Lane, PixelSize
from objclass.errors import ImageError, ProjectError, UsageError
from objclass.features.contract import Feature, feature_set
from objclass.pipeline.looks import doubt
from objclass.pipeline.sizes import in_pixels
from objclass.pixels.chain import PixelChain
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject
from objclass.segmentation.labelling import check_first_block
from objclass.settings import ThresholdSettings

FromFile = Literal["file"]
FROM_FILE: FromFile = "file"
"""Value in place of a pixel size: use the one stored in the images."""

ILASTIK = "ilastik"
"""The usual profile of columns."""

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class Plan:
    """What to do with every lane.

    Parameters
    ----------
    features
        All features to measure.
    shown
        Those that the table shows, in this order.
    threshold
        How prediction maps are thresholded.
    margin
        Neighbourhood along x, y(, z) in pixels.
    project
        The project that classifies; None to measure only.
    pixel_size
        As given by the user, in place of that of the images; `FROM_FILE` for that of the images. That of a lane
        comes first.
    pixels
        Classifies the pixels of raw data, whose probabilities are the prediction maps.
    pixel_project
        Where pixels alone are classified: their project.
    profile
        Names and order of the columns of tables. All but those of `ILASTIK` are in pixels, and have physical columns
        besides if a pixel size is given.
    """

    features: tuple[Feature, ...]
    shown: tuple[Feature, ...]
    threshold: ThresholdSettings = field(default_factory=ThresholdSettings)
    margin: tuple[int, ...] = ()
    project: Project | None = None
    pixel_size: PixelSize | FromFile | None = None
    pixels: PixelChain | None = None
    pixel_project: PixelProject | None = None
    profile: str = ILASTIK

    @property
    def trained(self) -> Project | PixelProject | None:
        """The project whose stored settings of the outputs count."""
        return self.project or self.pixel_project

    def given_size(self, lane: Lane) -> PixelSize | FromFile | None:
        """The pixel size that is given for a lane, in place of that of the images."""
        return lane.given_size or self.pixel_size

    def measured_size(self, lane: Lane) -> PixelSize:
        """The pixel size used by features: `PIXELS`, unless the user gives another one.

        Forests are trained in pixels; and the size stored in a file must not silently turn a column
        ``area`` from pixels to µm².
        """
        given = self.given_size(lane)
        if self.project is not None or given is None or self.profile != ILASTIK:
            return PIXELS
        return (lane.pixel_size or PIXELS) if given == FROM_FILE else given

    def physical_size(self, lane: Lane) -> PixelSize | None:
        """The pixel size in µm, from which physical columns are computed; None without them."""
        size = self.carried_size(lane)
        is_wanted = self.profile != ILASTIK and self.given_size(lane) is not None
        return size.in_micrometres if is_wanted and size is not None else None

    def threshold_of(self, lane: Lane) -> ThresholdSettings:
        """How the prediction map of a lane is thresholded, sizes in its pixels."""
        return in_pixels(self.threshold, lane, self.carried_size(lane))

    def carried_size(self, lane: Lane) -> PixelSize | None:
        """The pixel size that is stored in the images that are written; None if unknown."""
        given = self.given_size(lane)
        return given if isinstance(given, PixelSize) else lane.pixel_size


def plan_for(project: Project, lanes: Sequence[Lane], pixel_size: PixelSize | FromFile | None = None) -> Plan:
    """The plan that follows from a project.

    The table shows the default features first, then the others in sorted order; those that the forest
    does not use are left out where they are not defined for an image (a skeleton in 3D).
    """
    defaults: Mapping[str, Feature] = feature_set("Default features") or {}
    features = [
        feature
        for feature in project.features()
        if feature.key in project.selected
        or all(feature.fits(lane.objects.ndim, lane.channels) for lane in lanes)
    ]
    by_key = {feature.key: feature for feature in features}
    shown = [by_key[key] for key in project.shown() if key in by_key]
    chosen = {feature.name for feature in shown if feature.set_name == "Standard Object Features"}
    extra = [f for name, f in defaults.items() if name not in chosen]
    return Plan(
        tuple(dict.fromkeys([*features, *defaults.values()])),
        (*extra, *shown),
        project.threshold,
        project.margin,
        project,
        pixel_size,
        project.pixels,
    )


def check_lane(lane: Lane, plan: Plan) -> None:
    """Check a lane by its headers and a few pixels, before the run.

    Raises
    ------
    ImageError, ProjectError, UsageError
        If the lane does not fit the plan.
    """
    check_header(lane, plan)
    if lane.role not in (PIXEL_ROLE, "prediction_maps"):
        check_first_block(lane.objects)
    if lane.role != PIXEL_ROLE and (line := doubt(lane)):
        log.warning("%s", line)


def check_header(lane: Lane, plan: Plan) -> None:
    """Check a lane by its headers alone.

    Raises
    ------
    ImageError, ProjectError, UsageError
        If the lane does not fit the plan.
    """
    if lane.role == PIXEL_ROLE:
        return
    if lane.role == "prediction_maps":
        _check_channels(lane, plan.threshold_of(lane))
    elif lane.objects.shape[4] > 1:
        message = (
            f"{lane.role.replace('_', ' ')} {lane.objects.name} has {lane.objects.shape[4]} "
            f"channels (axes {lane.objects.axes} from {lane.objects.axes_from}): expected one (wrong "
            "--input_axes? a map for --prediction_maps?): a run selects it with --channel, training needs it as an image of its own"
        )
        raise ImageError(message)
    is_from_file = plan.pixel_size == FROM_FILE and lane.given_size is None
    is_used = plan.project is None or plan.profile != ILASTIK
    if is_used and is_from_file and lane.pixel_size is None:
        message = (
            f"{lane.objects.name}: --pixel_size=file: none of its images has a pixel size for each of its axes: "
            "give the size in numbers"
        )
        raise ImageError(message)
    _check_unit(lane, plan)
    size = lane.given_size or plan.pixel_size
    if isinstance(size, PixelSize) and not size.has_z and lane.objects.ndim > 2:
        message = f"{lane.objects.name} has {lane.objects.shape[1]} planes: expected a pixel size along z as well (z=2.0,y=0.65,x=0.65um)"
        raise UsageError(message)
    check_features(lane, plan)


def _check_unit(lane: Lane, plan: Plan) -> None:
    """Refuse physical columns of a lane whose pixel size is not in a unit of length."""
    size = plan.carried_size(lane)
    if plan.profile == ILASTIK or plan.given_size(lane) is None or size is None or size.in_micrometres:
        return
    message = (
        f"{lane.objects.name}: pixel size {size.described(lane.objects.ndim)}: columns in um need one of the units "
        f"{', '.join(MICROMETRES)}: give --pixel_size 0.65um, or --table_columns {ILASTIK}"
    )
    raise UsageError(message)


def check_features(lane: Lane, plan: Plan) -> None:
    """Refuse a lane for which the requested features are not defined.

    Raises
    ------
    ProjectError, UsageError
        If the lane does not fit the plan.
    """
    if plan.project is not None and plan.project.forest is not None:
        given = lane.raw or lane.objects
        description = f"{given.name} {given.stored.shape} with axes {given.axes} from {given.axes_from}"
        plan.project.check_columns(lane.objects.ndim, lane.channels, description)
    _check_margin(lane, plan)
    if lane.raw is None and any(f.looks_at_pixels for f in plan.features):
        message = f"{lane.objects.name}: the features need raw data: give --raw_data"
        raise UsageError(message)


def _check_margin(lane: Lane, plan: Plan) -> None:
    around = any(feature.scope != "object" for feature in plan.features)
    ndim = lane.objects.ndim
    if around and (len(plan.margin) < ndim or min(plan.margin[:ndim]) <= 0):
        origin = "--margin" if plan.project is None else f"{plan.project.path} stores"
        message = (
            f"{lane.objects.name} is {ndim}D: its neighbourhood features need a margin above 0 along each "
            f"axis, x, y(, z): {origin} {', '.join(map(str, plan.margin)) or 'none'}"
        )
        raise ProjectError(message)


def _check_channels(lane: Lane, threshold: ThresholdSettings) -> None:
    channels = lane.objects.shape[4]
    used = {threshold.channel}
    if threshold.method != "simple":
        used.add(threshold.core_channel)
    if max(used) >= channels:
        message = (
            f"prediction maps {lane.objects.name} have {channels} channels (axes {lane.objects.axes} "
            f"from {lane.objects.axes_from}): expected at least {max(used) + 1}, since channel {max(used)} is selected (counted from 0)"
        )
        raise ImageError(message)
