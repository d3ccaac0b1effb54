"""Crops of chosen objects, read from their images again: only the time steps and the boxes that are needed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.evaluation.result import Judged
from objclass.export.colors import has_colors
from objclass.features.contract import choose
from objclass.pipeline.crops import Crop, plane_crops, window_of
from objclass.pipeline.lane import Step, measure_step
from objclass.pipeline.plan import Plan
from objclass.report.thumbnails import SIDE
from objclass.segmentation.find import find_objects
from objclass.settings import ThresholdSettings

BOXES = ("Default features:Coord<Minimum>", "Default features:Coord<Maximum>")


@dataclass(frozen=True)
class Crops:
    """Crops of objects.

    Parameters
    ----------
    by_row
        Row of an object -> its crop; those that are not found in their images, or whose image is not found, are absent.
    window
        Side of the square of most of them, in pixels.
    original
        Row of an object of a label image -> its id there.
    is_color
        Whether their channels are red, green and blue of 8 bits.
    """

    by_row: Mapping[int, Crop] = field(default_factory=dict)
    window: int = 0
    original: Mapping[int, int] = field(default_factory=dict)
    is_color: bool = False


def read_crops(
    found: Judged,
    rows: Iterable[int],
    lanes: Mapping[int, Lane],
    threshold: ThresholdSettings,
    context: Context,
) -> Crops:
    """Read the crops of some objects.

    Parameters
    ----------
    found
        Objects with their images, time steps and ids.
    rows
        The rows of those to show.
    lanes
        Number of an image -> its lane; without those that are not found.
    threshold
        How prediction maps are thresholded.
    """
    by_step: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in sorted(rows):
        by_step[int(found.image[row]), int(found.timestep[row])].append(row)
    crops: dict[int, Crop] = {}
    original: dict[int, int] = {}
    window = 0
    for (image, t), members in sorted(by_step.items()):
        # the image may be another one by now, with fewer time steps or objects
        if image not in lanes or t >= lanes[image].objects.shape[0]:
            continue
        step = _step(lanes[image], t, threshold, context)
        window = window or window_of(step)
        known = [row for row in members if found.label[row] <= step.objects.count]
        cut = plane_crops(lanes[image], step, found.label[known].tolist(), window, SIDE, context)
        crops |= zip(known, cut, strict=True)
        if step.objects.original is not None:
            original |= zip(known, step.objects.original[found.label[known] - 1].tolist(), strict=True)
    raws = [lane.raw for lane in lanes.values()]
    is_color = all(raw is not None and has_colors(raw) for raw in raws)
    return Crops(crops, window, original, is_color)


def _step(lane: Lane, t: int, threshold: ThresholdSettings, context: Context) -> Step:
    """The objects of a time step and their boxes."""
    features = tuple(choose(BOXES, lane.objects.ndim, lane.channels))
    objects = find_objects(lane, t, threshold, context)
    return Step(
        t, objects, measure_step(lane, Plan(features, features, threshold), t, objects, context), None
    )
