"""Object classification for microscopy images.

>>> import objclass
>>> project = objclass.open_project("P.ilp")  # doctest: +SKIP
>>> result = objclass.predict(project, "raw.tif", "segmentation.tif")  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from objclass.api import Result, measure, predict
    from objclass.core import PixelSize
    from objclass.errors import ObjclassError
    from objclass.project.model import Project
    from objclass.project.open import open_project

_NAMES = {
    "ObjclassError": "objclass.errors",
    "PixelSize": "objclass.core",
    "Project": "objclass.project",
    "Result": "objclass.api",
    "measure": "objclass.api",
    "open_project": "objclass.project",
    "predict": "objclass.api",
}

__all__ = ["ObjclassError", "PixelSize", "Project", "Result", "measure", "open_project", "predict"]


def __getattr__(name: str) -> Any:
    # resolved on use: `objclass --help` must not wait for numpy
    if name not in _NAMES:
        message = f"module 'objclass' has no attribute '{name}'"
        raise AttributeError(message)
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
