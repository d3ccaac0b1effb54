"""From a prediction map, a segmentation or a label image to numbered objects."""

from objclass.compute.limits import ALL, Limits
from objclass.compute.timings import Timings
from objclass.core import Lane, Objects
from objclass.segmentation.labelling import renumbered, segmented
from objclass.segmentation.threshold import WHOLE, of_whole_frame, thresholded
from objclass.settings import ThresholdSettings


def find_objects(
    lane: Lane, t: int, settings: ThresholdSettings, limits: Limits = ALL, spent: Timings | None = None
) -> Objects:
    """The objects of one time step of a lane; without limits all of it is held.

    Raises
    ------
    LaneError
        For values that cannot be labels: fractions, negative ids of a label image.
    """
    spent = Timings() if spent is None else spent
    if lane.role == "label_image":
        return renumbered(lane.objects, t, limits, spent)
    if lane.role == "segmentation_image":
        return segmented(lane.objects, t, limits, spent)
    if settings.method in WHOLE:
        return of_whole_frame(lane.objects, t, settings, limits, spent)
    return thresholded(lane.objects, t, settings, limits, spent)
