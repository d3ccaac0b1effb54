"""Object classification for microscopy images.

>>> import objclass
>>> project = objclass.open_project("P.ilp")  # doctest: +SKIP
>>> result = objclass.predict(project, "raw.tif", "segmentation.tif")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from objclass.version import __version__ as __version__

if TYPE_CHECKING:
    from objclass.api import (
        Result,
        evaluate,
        learn,
        list_features,
        measure,
        open_image,
        open_project,
        predict,
        predict_pixels,
        train_pixels,
    )
    from objclass.core import PixelSize
    from objclass.errors import ObjclassError
    from objclass.evaluation.frames import EvaluationResult
    from objclass.images.lazy import LazyImage
    from objclass.project.model import Project
    from objclass.project.pixel_model import PixelProject
    from objclass.session import Session
    from objclass.training.classifier import Classifier

_ROOMS = {
    "Classifier": "objclass.training.classifier",
    "EvaluationResult": "objclass.evaluation.frames",
    "LazyImage": "objclass.images.lazy",
    "ObjclassError": "objclass.errors",
    "PixelProject": "objclass.project.pixel_model",
    "PixelSize": "objclass.core",
    "Project": "objclass.project.model",
    "Result": "objclass.api",
    "Session": "objclass.session",
    "evaluate": "objclass.api",
    "learn": "objclass.api",
    "list_features": "objclass.api",
    "measure": "objclass.api",
    "open_image": "objclass.api",
    "open_project": "objclass.api",
    "predict": "objclass.api",
    "predict_pixels": "objclass.api",
    "train_pixels": "objclass.api",
}
"""Public name -> where it is defined."""

__all__ = [
    "Classifier",
    "EvaluationResult",
    "LazyImage",
    "ObjclassError",
    "PixelProject",
    "PixelSize",
    "Project",
    "Result",
    "Session",
    "evaluate",
    "learn",
    "list_features",
    "measure",
    "open_image",
    "open_project",
    "predict",
    "predict_pixels",
    "train_pixels",
]


def __getattr__(name: str) -> Any:
    # resolved on use: `objclass --help` must not wait for numpy
    if name not in _ROOMS:
        message = f"module 'objclass' has no attribute '{name}'"
        raise AttributeError(message)
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
