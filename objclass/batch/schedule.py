"""The run: lane after lane, or several at once.

Everything that can be known from headers is checked for all lanes before the first pixel is read and before
anything is written. Outputs are written under temporary names and renamed when a lane is complete.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from time import perf_counter

from objclass.batch import resume
from objclass.batch.engine import Engine, engine_for
from objclass.batch.journal import Journal
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.projects import compared, pixel_chain, trained
from objclass.batch.request import Request
from objclass.batch.run_file import Record
from objclass.batch.shards import Share, make_empty, remove_incomplete, share_of
from objclass.batch.task import LaneResult, Numbered, Results, keep
from objclass.batch.totals import Totals
from objclass.compute.context import Context
from objclass.compute.machine import tune_allocator
from objclass.core import PixelSize, Progress
from objclass.errors import EngineError, LaneError, ObjclassError, Stop, listed
from objclass.export.checks import check_free
from objclass.export.dictionary import write_dictionaries
from objclass.export.files import OwnLaneFiles, RunFiles
from objclass.export.naming import Task
from objclass.export.sinks import maker_of
from objclass.pipeline.inputs import open_lanes, warn_of_pixel_sizes
from objclass.pipeline.plan import Plan
from objclass.project.model import Project
from objclass.project.open import open_any
from objclass.settings import BatchSettings

log = logging.getLogger("objclass")


def run(
    request: Request,
    progress: Progress | None = None,
    stop: Stop | None = None,
    expect: Callable[[int], None] | None = None,
) -> int:
    """Run all lanes; return the exit code.

    Parameters
    ----------
    request
        What is to be done.
    progress
        Called with the name of a lane and its completed fraction, from any thread.
    stop
        Asks the run to end.
    expect
        Called with the number of lanes, once they are known.

    Raises
    ------
    ObjclassError
        If anything is wrong that can be known before writing.
    """
    started = perf_counter()
    context = Context.of(
        request.resources, progress=progress, stop=stop, follow_links=request.inputs.follow_links
    )
    tune_allocator(context.limits.memory)
    project = trained(open_any(request.project), context, anew=request.retrain) if request.project else None
    project = compared(project) if request.novelty else project
    if isinstance(project, Project) and project.inclusive_maximum:
        log.info(
            "%s was saved by ilastik %s: its classifier was trained with the last coordinate as Bounding Box Maximum, and "
            "still gets it; the table has the coordinate after it, as in present ilastik",
            project.path,
            project.version,
        )
    pixels = pixel_chain(request, project, context)
    lanes = open_lanes(request.inputs, project, context, pixels)
    if not isinstance(request.pixel_size, PixelSize):
        warn_of_pixel_sizes(lanes)
    plan = make_plan(request, lanes, project, pixels)
    share = share_of(request, plan_tasks(request, plan, lanes))
    if share.shard is not None:
        log.info("%s", share.described)
    with engine_for(request.engine, request.resources, context) as engine:
        return _run_journalled(request, plan, share, engine, context, started, expect)


def _run_journalled(
    request: Request,
    plan: Plan,
    share: Share,
    engine: Engine,
    context: Context,
    started: float,
    expect: Callable[[int], None] | None,
) -> int:
    """Run all lanes that are not done, and write the run file."""
    tasks = share.tasks
    model = plan.project.novelty if plan.project is not None else None
    totals = Totals(tasks, model.images if model is not None else 1)
    code = LaneError.exit_code
    journal = Journal(request, plan, share, engine.limits)
    try:
        done, files = _resumed(request, tasks, journal)
    except BaseException:
        journal.discard()
        raise
    try:  # nothing is called before: a signal that comes now ends a run that has a run file
        if expect is not None:
            expect(len(tasks))
        make_empty(share, plan, files, context)
        code = _run_tasks(tasks, plan, files, journal, engine, context, done, request.batch, totals)
    finally:
        with closing(journal):
            described = [*tasks, *share.empty.values()]
            describe = partial(write_dictionaries, described, plan, files, resumed=request.batch.resume)
            is_written = _finish(files, describe, journal, perf_counter() - started)
        totals.ended(perf_counter() - started, journal.path, files.partial)
    if code == 0 and is_written:
        remove_incomplete(share)
    return code if is_written else max(code, 1)


def _resumed(request: Request, tasks: Sequence[Task], journal: Journal) -> tuple[dict[int, Record], RunFiles]:
    """The records of the lanes that are complete already, by number, and the files of the run."""
    if not request.batch.resume:
        return {}, RunFiles(tasks)
    earlier, done = resume.find(tasks, journal, verify=request.batch.verify)
    check_free([task for number, task in enumerate(tasks) if number not in done])
    log.info("%d of %d lanes are complete already", len(done), len(tasks))
    return done, RunFiles(tasks, earlier)


def _finish(files: RunFiles, describe: Callable[[], None], journal: Journal, seconds: float) -> bool:
    """Give the files that lanes share their final names, describe the tables, and write the run file; return False if
    that fails.
    """
    is_written = True
    try:
        files.close()
        describe()
    except OSError as fault:
        is_written = False
        journal.lost(str(fault))
        log.error("files that lanes share could not be written: %s", fault)  # noqa: TRY400
    left = journal.ended(files.partial)
    if left:
        log.warning("not run: %s (all are named in the run file)", listed(left))
        log.info("to go on where it ended, run the same command with --resume")
    try:
        journal.publish(seconds)
    except OSError as fault:
        is_written = False
        log.error("the run file could not be written: %s", fault)  # noqa: TRY400
    return is_written


def _run_tasks(
    tasks: Sequence[Task],
    plan: Plan,
    files: RunFiles,
    journal: Journal,
    engine: Engine,
    context: Context,
    done: Mapping[int, Record],
    batch: BatchSettings,
    totals: Totals,
) -> int:
    """Run the lanes that are not done, and commit them in their order."""
    left = [(number, task) for number, task in enumerate(tasks) if number not in done]
    for number, record in done.items():
        journal.earlier(tasks[number], record)
        totals.earlier(tasks[number].name, record.get("counts", {}), record.get("novel"))
        context.progress(tasks[number].name, 1.0)
    with closing(engine.results(left, plan, files)) as results:
        failed, is_gone = _commit(left, results, journal, totals, batch)
    owners = {path: task for task in tasks for path in task.tables}
    try:
        files.make_missing(lambda path: maker_of(owners[path], path))
    except OSError as fault:
        journal.lost(str(fault))
        log.error("a table could not be written: %s", fault)  # noqa: TRY400
        return 1
    succeeded = len(tasks) - len(journal.waiting) - len(failed)
    if failed and batch.on_error == "continue":
        log.error(
            "failed: %d of %d lanes: %s (--resume runs them again)", len(failed), len(tasks), listed(failed)
        )
    if failed or is_gone:
        return 1 if succeeded else LaneError.exit_code
    gone = [path for task in tasks for path in task.paths if not os.path.exists(path)]
    if gone:
        journal.lost(f"removed by somebody since it was written: {listed(gone)}")
        log.error("removed by somebody since it was written: %s", listed(gone))
        return 1
    return 0


def _commit(
    lanes: Sequence[Numbered], results: Results, journal: Journal, totals: Totals, batch: BatchSettings
) -> tuple[list[str], bool]:
    """Commit lanes in their order; return the names of those that failed, and whether the engine is gone."""
    failed: list[str] = []
    try:
        for (number, task), result in zip(lanes, results, strict=True):
            try:
                keep(result, partial(_record, journal, result))
            except ObjclassError as fault:
                failed.append(task.name)
                _record_failure(journal, task, fault)
                totals.failed(number + 1, task, fault)
                if batch.on_error == "stop":
                    break
            else:
                totals.done(number + 1, result)
    except EngineError as fault:
        journal.lost(str(fault))
        log.error("%s", fault)  # noqa: TRY400
        return failed, True
    return failed, False


def _record(journal: Journal, result: LaneResult[OwnLaneFiles]) -> None:
    journal.finished(
        result.task,
        result.counts,
        result.novel,
        result.clock.seconds,
        result.context.timings,
        result.files.completed,
        result.files.rows,
        result.warnings,
    )


def _record_failure(journal: Journal, task: Task, fault: ObjclassError) -> None:
    journal.failed(task, str(fault))
    if task.report is not None:
        task.report.failed[task.name] = str(fault)
