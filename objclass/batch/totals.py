"""What a run says of its lanes: lines about each, and about all of them at the end."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from objclass.batch.task import LaneResult, written
from objclass.batch.unlike import UnlikeImages
from objclass.compute import machine
from objclass.core import PIXEL_ROLE
from objclass.errors import listed
from objclass.export.files import PartialFile
from objclass.export.naming import Task

log = logging.getLogger("objclass")


class Totals:
    """The sums over all lanes of a run, and the messages about each.

    Parameters
    ----------
    tasks
        All lanes.
    trained_on
        Number of images that the project was trained on.
    """

    def __init__(self, tasks: Sequence[Task], trained_on: int = 1) -> None:
        self._tasks = tasks
        self._done = self._failed = self._earlier = 0
        self._counts: Counter[str] = Counter()
        self._empty = 0
        self._unlike = UnlikeImages(trained_on)
        lanes = Counter(path for task in tasks for path in {*task.tables, task.dictionary} - {None})
        self._shared = {path for path, count in lanes.items() if count > 1}

    def done(self, number: int, result: LaneResult[Any]) -> None:
        """Add a complete lane, the ``number``-th from 1, and say what it has and wrote."""
        self._done += 1
        self._count(result.task.name, result.counts, result.novel)
        task, fields = result.task, self._fields(number, result.task)
        seconds, outputs = result.clock.seconds, written(task)
        total = sum(seconds.values())
        found = f"{_objects(result.counts['objects'])} in " if self._has_objects else ""
        results = {
            "status": "done",
            "counts": result.counts if self._has_objects else None,
            "novel": result.novel,
            "seconds": round(total, 4),
            "stages": {name: round(taken, 4) for name, taken in seconds.items()},
            "outputs": outputs,
        }
        log.info("%s: %s%.2f s", self._label(number, task), found, total, extra={"fields": fields | results})
        own = [path for path in outputs if path not in self._shared]  # the others are named at the end
        if own:
            log.info("  %s", ", ".join(own), extra={"fields": fields})
        log.debug("  %s", _described(seconds), extra={"fields": fields})
        within = _described(result.context.timings)
        log.debug("  within these, summed over threads: %s", within, extra={"fields": fields})

    def earlier(self, image: str, counts: Mapping[str, int], novel: int | None) -> None:
        """Add a lane that an earlier run has completed, and its numbers of objects."""
        self._earlier += 1
        self._count(image, counts, novel)

    def _count(self, image: str, counts: Mapping[str, int], novel: int | None) -> None:
        if novel is not None:
            self._unlike.add(image, counts.get("objects", 0), novel)
        self._counts.update(counts)
        self._empty += counts.get("objects") == 0

    def failed(self, number: int, task: Task, fault: Exception) -> None:
        """Add a lane that failed, and say why."""
        self._failed += 1
        fields = self._fields(number, task) | {"status": "failed"}
        text = " ".join(str(fault).split())
        log.error("%s failed: %s", self._label(number, task), text, extra={"fields": fields})
        log.debug("", exc_info=fault, extra={"fields": fields})

    def _fields(self, number: int, task: Task) -> dict[str, Any]:
        return {"lane": task.name, "number": number, "lanes": len(self._tasks)}

    def _label(self, number: int, task: Task) -> str:
        return f"lane {number}/{len(self._tasks)} {task.name}"

    def ended(self, seconds: float, run_file: str | None, partial: Mapping[str, PartialFile]) -> None:
        """Say in a few lines what the run has done, and where its outputs are.

        Parameters
        ----------
        seconds
            How long it took.
        run_file
            Path of the run file, if there is one.
        partial
            Incomplete files, by their intended names.
        """
        every, memory = len(self._tasks), machine.peak_memory()
        left = every - self._done - self._failed - self._earlier
        lanes = f"{self._done} of {every} lanes done" if every > 1 or not self._done else "done"
        lanes += f", {self._earlier} done before" * (self._earlier > 0)
        lanes += f", {self._failed} failed" * (self._failed > 0) + f", {left} not run" * (left > 0)
        fields = {
            "lanes": every,
            "done": self._done,
            "done_before": self._earlier,
            "failed": self._failed,
            "not_run": left,
            "counts": dict(self._counts),
            "seconds": round(seconds, 4),
            "peak_memory": memory,
        }
        message = f"{lanes} in {seconds:.1f} s, peak memory {memory / 1e6:.0f} MB"
        log.info("%s", message, extra={"fields": fields})
        if (self._done or self._earlier) and self._has_objects:
            log.info("%s", self._by_class())
        if line := self._unlike.line:
            log.warning("%s", line)
        if self._done or self._earlier:
            log.info("outputs: %s", ", ".join(self._places(run_file, partial)))

    @property
    def _has_objects(self) -> bool:
        return all(task.lane.role != PIXEL_ROLE for task in self._tasks[:1])

    def _by_class(self) -> str:
        """The number of objects, that of each class and its share."""
        total = self._counts["objects"]
        shown = (
            f"{name} {count}" + (f" ({count / total:.1%})" if total else "")
            for name, count in self._counts.items()
            if name != "objects"
        )
        classes, few = ", ".join(shown), self._empty == 1
        none = f" ({self._empty} {'lane has' if few else 'lanes have'} none)" if self._empty and total else ""
        return _objects(total) + none + (f": {classes}" if classes else "")

    def _places(self, run_file: str | None, partial: Mapping[str, PartialFile]) -> Iterator[str]:
        """Where the outputs are: the folders of those that each lane has, and the other files."""
        tables = {task.table for task in self._tasks if task.table is not None}
        summaries = {task.summary.path for task in self._tasks if task.summary is not None}
        own = {
            "images": [
                path for task in self._tasks for path in (*(o.path for o in task.outputs), *task.pictures)
            ],
            "objects": [path for task in self._tasks for path in task.objects],
            "tables": tables if len(tables) > 1 else (),
        }
        for what, paths in own.items():
            if paths:
                yield f"{what} in {listed(sorted({os.path.dirname(path) or '.' for path in paths}))}"
        reports = {task.report.path for task in self._tasks if task.report is not None}
        only = tables if len(tables) == 1 else ()
        for what, paths in (("table", only), ("summary", summaries), ("report", reports)):
            for path in paths:
                yield f"{what} {partial[path].path if path in partial else path}"
        if run_file is not None:
            yield f"run file {run_file}"


def _objects(count: int) -> str:
    return f"{count} object{'s' * (count != 1)}"


def _described(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {taken:.3f} s" for part, taken in seconds.items())
