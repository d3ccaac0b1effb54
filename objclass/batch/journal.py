"""The run file: what was run, on what, with which result."""

import contextlib
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from objclass.batch.request import Request
from objclass.batch.task import written
from objclass.compute import machine
from objclass.compute.limits import Limits
from objclass.export.atomic import Pending
from objclass.export.naming import Task
from objclass.pipeline.plan import Plan
from objclass.settings import ThresholdSettings

RUN_FILE = "objclass_run.json"


class RunReport:
    """``objclass_run.json``: what was run, on what, with which result."""

    def __init__(self, request: Request, plan: Plan, tasks: Sequence[Task], limits: Limits) -> None:
        paths = [o.path for t in tasks for o in t.outputs]
        tables_ = [t.table for t in tasks if t.table]
        # beside the table if it was asked for, not where a project once wanted it
        first = next(iter([*tables_, *paths] if request.table else [*paths, *tables_]), None)
        self._path = Path(first).parent / RUN_FILE if first else None
        self._plan = plan
        project = plan.project
        self._content: dict[str, Any] = {
            "objclass": version("objclass"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "arguments": list(request.arguments),
            "project": _file_entry(project.path) if project else None,
            "jobs": limits.jobs,
            "memory": limits.memory,
            "threshold": _plain(plan.threshold),
            "features": [": ".join(feature.key) for feature in plan.features],
            "classes": list(project.classes) if project else [],
            "lanes": [],
        }

    def finished(
        self,
        task: Task,
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        within: Mapping[str, float],
    ) -> None:
        """A lane is complete; ``within`` are seconds of all threads in the parts of ``seconds``."""
        rounded = {name: round(taken, 4) for name, taken in seconds.items()}
        threads = {name: round(taken, 4) for name, taken in within.items()}
        self._add(task, "done", counts=dict(counts), seconds=rounded, thread_seconds=threads)

    def failed(self, task: Task, fault: str) -> None:
        """A lane failed."""
        self._add(task, "failed", error=fault)

    def _add(self, task: Task, status: str, **more: Any) -> None:
        self._content["lanes"].append(
            {
                "image": task.name,
                "status": status,
                "inputs": [
                    {
                        "name": image.name,
                        "axes": image.axes,
                        "axes_from": image.axes_from,
                        "shape": list(image.stored.shape),
                        "dtype": str(image.dtype),
                        "files": [_file_entry(path) for path in image.files],
                    }
                    for image in task.lane.images
                ],
                **self._units(task),
                "outputs": written(task),
                **more,
            }
        )

    def _units(self, task: Task) -> dict[str, Any]:
        """The unit of lengths in the table, and the pixel size that the images carry."""
        size = self._plan.carried_size(task.lane)
        unit = self._plan.measured_size(task.lane).unit
        return {"unit": unit, "pixel_size": asdict(size) if size is not None else None}

    def write(self, seconds: float) -> None:
        """Write the file beside the table, or beside the first image."""
        if self._path is None:
            return
        self._content["seconds"] = round(seconds, 4)
        self._content["peak_memory"] = machine.peak_memory()
        pending = Pending()
        temporary = pending.add(str(self._path))
        Path(temporary).write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        pending.commit()


@cache  # one file may stand for many lanes
def _file_entry(path: str) -> dict[str, Any]:
    """A file and the digest of its content."""
    entry: dict[str, Any] = {"path": path}
    with contextlib.suppress(OSError):
        entry["sha256"] = _digest(Path(path))
    return entry


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names and digests of its files, sorted."""
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        lines = sorted(f"{file.relative_to(path).as_posix()} {_digest(file)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(settings: ThresholdSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
