"""From a prediction map, a segmentation or a label image to numbered objects."""

from objclass.compute.context import Context
from objclass.core import Lane, Objects
from objclass.segmentation.labelling import renumbered, segmented
from objclass.segmentation.threshold import WHOLE, of_whole_frame, thresholded
from objclass.settings import ThresholdSettings


def find_objects(lane: Lane, t: int, settings: ThresholdSettings, context: Context | None = None) -> Objects:
    """The objects of one time step of a lane; without a context there are no limits, and all of it is held in memory.

    Raises
    ------
    LaneError
        If values cannot be labels: fractions, negative ids of a label image.
    """
    context = context or Context()
    if lane.role == "label_image":
        return renumbered(lane.objects, t, context)
    if lane.role == "segmentation_image":
        return segmented(lane.objects, t, context)
    if settings.method in WHOLE:
        return of_whole_frame(lane.objects, t, settings, context)
    return thresholded(lane.objects, t, settings, context)
