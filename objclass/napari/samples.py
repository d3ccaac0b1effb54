"""Sample data in napari's menu: synthetic, computed when they are opened."""

from typing import Any

import numpy as np

from objclass.session.samples import field, prediction_map, series, stack

LayerData = list[tuple[Any, dict[str, Any], str]]


def cells() -> LayerData:
    """Cells of three kinds, with their probabilities and a segmentation."""
    raw, truth, _ = field(60, 7)
    cell = prediction_map(truth, 8)[..., 0]
    axes = {"axis_labels": ("y", "x")}
    return [
        (raw, {"name": "cells", **axes}, "image"),
        (cell, {"name": "cells probability", "visible": False, "colormap": "viridis", **axes}, "image"),
        ((truth > 0).astype(np.uint8), {"name": "cells segmentation", "opacity": 0.3, **axes}, "labels"),
    ]


def spots() -> LayerData:
    """A volume with balls and rods, and a label image."""
    raw, objects, _ = stack(24, 4)
    axes = {"axis_labels": ("z", "y", "x")}
    return [
        (raw, {"name": "spots", **axes}, "image"),
        (objects, {"name": "spots objects", "opacity": 0.3, **axes}, "labels"),
    ]


def moving_cells() -> LayerData:
    """A time series of cells that turn and drift, and a label image."""
    raw, objects = series()
    axes = {"axis_labels": ("t", "y", "x")}
    return [
        (raw, {"name": "moving cells", **axes}, "image"),
        (objects, {"name": "moving cells objects", "opacity": 0.3, **axes}, "labels"),
    ]
