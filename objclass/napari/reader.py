"""Readers of napari: projects, results of runs, and result images."""

from collections.abc import Callable, Sequence
from typing import Any

from objclass.errors import ObjclassError
from objclass.session.layers import Layers

Reader = Callable[[Any], list[tuple[Any, ...]]]
"""Paths -> layers, as napari takes them."""

NOTHING: list[tuple[Any, ...]] = [(None,)]
"""What a reader returns that adds no layers."""


def project_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of projects."""
    return _project if _single(path).lower().endswith(".ilp") else None


def run_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of folders of results, and of run files; None for other folders, of which nothing is read."""
    from objclass.session.run_layers import is_run

    return _run if is_run(_single(path)) else None


def result_reader(path: str | Sequence[str]) -> Reader | None:
    """The reader of result images that have their usual names."""
    return _result if _single(path) else None


def _single(path: str | Sequence[str]) -> str:
    """The path; of several that are to be stacked, which are not read here, ``""``."""
    given = [path] if isinstance(path, str) else list(path)
    return str(given[0]) if len(given) == 1 else ""


def _project(path: Any) -> list[tuple[Any, ...]]:
    from objclass.session.project_layers import project_layers

    return _shown(project_layers, path)


def _run(path: Any) -> list[tuple[Any, ...]]:
    from objclass.session.run_layers import run_layers

    return _shown(run_layers, path)


def _result(path: Any) -> list[tuple[Any, ...]]:
    from objclass.session.run_layers import result_layer

    return _shown(result_layer, path)


def _shown(read: Callable[[str], Layers], path: Any) -> list[tuple[Any, ...]]:
    """The layers; what is missing, or wrong with the file, is said in a notification without a traceback."""
    from napari.utils.notifications import show_error, show_warning

    try:
        found = read(_single(path))
    except ObjclassError as fault:
        show_error(str(fault))
        return NOTHING
    for remark in found.remarks:
        show_warning(remark)
    return list(found.layers)
