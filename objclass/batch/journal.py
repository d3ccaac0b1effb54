"""The run file: the arguments, inputs, outputs and results of a run."""

import contextlib
import hashlib
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from objclass.batch.request import Request
from objclass.batch.task import written
from objclass.compute import machine
from objclass.compute.limits import Limits
from objclass.export.atomic import Pending
from objclass.export.files import PartialFile
from objclass.export.naming import Task
from objclass.pipeline.plan import Plan
from objclass.settings import ThresholdSettings
from objclass.version import __version__

RUN_FILE = "objclass_run.json"


class RunReport:
    """``objclass_run.json``: the arguments, inputs, outputs and results of a run."""

    def __init__(self, request: Request, plan: Plan, tasks: Sequence[Task], limits: Limits) -> None:
        paths = [o.path for t in tasks for o in t.outputs]
        tables_ = [t.table for t in tasks if t.table]
        # next to the table if it was given, not where the project stores it
        first = next(iter([*tables_, *paths] if request.table else [*paths, *tables_]), None)
        self._path = Path(first).parent / RUN_FILE if first else None
        self._plan = plan
        self._waiting = {id(task): task for task in tasks}
        project, pixels = plan.trained, plan.pixels
        self._file_entry = cache(_file_entry)  # many lanes may share a file
        self._content: dict[str, Any] = {
            "objclass": __version__,
            "run": token_hex(4),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "arguments": list(request.arguments),
            "project": self._file_entry(project.path) if project else None,
            "pixel_project": self._file_entry(pixels.path) if pixels is not None else None,
            "jobs": limits.jobs,
            "memory": limits.memory,
            "threshold": _plain(plan.threshold),
            "features": [": ".join(feature.key) for feature in plan.features],
            "classes": list(project.classes) if project else [],
            "lanes": [],
            "partial": [],
        }

    @property
    def path(self) -> str | None:
        """Where the run file is written; None if nowhere."""
        return str(self._path) if self._path is not None else None

    def finished(
        self,
        task: Task,
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        within: Mapping[str, float],
    ) -> None:
        """Record a complete lane: ``seconds`` of each part, ``within`` summed over threads."""
        rounded = {name: round(taken, 4) for name, taken in seconds.items()}
        threads = {name: round(taken, 4) for name, taken in within.items()}
        self._add(task, "done", counts=dict(counts), seconds=rounded, thread_seconds=threads)

    def failed(self, task: Task, fault: str) -> None:
        """Record a lane that failed."""
        self._add(task, "failed", error=fault)

    def ended(self, partial: Mapping[str, PartialFile]) -> list[str]:
        """Record that the run has ended; return the names of the lanes that were not run."""
        waiting = list(self._waiting.values())
        for task in waiting:
            self._add(task, "not run")
        self._content["partial"] = [
            {"output": path, "written": file.path, "lanes": file.lanes, "of": file.of}
            for path, file in partial.items()
        ]
        return [task.name for task in waiting]

    def lost(self, fault: str) -> None:
        """Record that files shared by finished lanes could not be written."""
        self._content["error"] = fault

    def _add(self, task: Task, status: str, **more: Any) -> None:
        del self._waiting[id(task)]
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
                        "files": [self._file_entry(path) for path in image.files],
                    }
                    for image in task.lane.images
                ],
                **self._units(task),
                "outputs": written(task),
                **more,
            }
        )

    def _units(self, task: Task) -> dict[str, Any]:
        """The unit of lengths in the table, and the pixel size that is stored in the images."""
        size = self._plan.carried_size(task.lane)
        unit = self._plan.measured_size(task.lane).unit
        return {"unit": unit, "pixel_size": asdict(size) if size is not None else None}

    def write(self, seconds: float) -> None:
        """Write the file next to the table, or next to the first image; that of an earlier run is kept.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._path is None:
            return
        self._content["seconds"] = round(seconds, 4)
        self._content["peak_memory"] = machine.peak_memory()
        pending = Pending()
        try:
            temporary = pending.add(str(self._path))
            Path(temporary).write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
            pending.lock(str(self._path))
            _set_aside(self._path)
            pending.commit()
        finally:
            pending.discard()


def _set_aside(path: Path) -> None:
    """Keep the file of an earlier run under a name with its date."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        started, run = datetime.fromisoformat(str(earlier["started"])), str(earlier["run"])
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError):  # of an earlier version, or damaged
        started, run = datetime.fromtimestamp(path.stat().st_mtime, UTC), token_hex(4)
    kept = path.with_name(f"{path.stem}_{started:%Y%m%dT%H%M%S}_{re.sub(r'[^0-9a-f]', '', run)}{path.suffix}")
    if not kept.exists():
        path.rename(kept)


HEAD_BYTES = 1 << 16
"""Number of leading bytes in the digest of a file: data are not read a second time for it."""

_FOLDER_HEADERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray", "attributes.json")
"""Header files of a folder of chunks."""


def _file_entry(path: str) -> dict[str, Any]:
    """Size, time of the last change, and digest of the first bytes of a file; of a folder, those of its headers."""
    entry: dict[str, Any] = {"path": path}
    with contextlib.suppress(OSError):
        found = Path(path)
        status = found.stat()
        entry["modified"] = datetime.fromtimestamp(status.st_mtime, UTC).isoformat()
        if found.is_dir():
            headers = [found / name for name in _FOLDER_HEADERS if (found / name).is_file()]
            entry["sha256_head"] = hashlib.sha256(b"".join(_head(header) for header in headers)).hexdigest()
        else:
            entry["size"] = status.st_size
            is_whole = status.st_size <= HEAD_BYTES
            entry["sha256" if is_whole else "sha256_head"] = hashlib.sha256(_head(found)).hexdigest()
    return entry


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _plain(settings: ThresholdSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
