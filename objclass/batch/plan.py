"""Check all lanes of a run by their headers, and name all files that they write."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import accumulate
from pathlib import Path

from objclass.batch.digests import file_entry
from objclass.batch.request import DEFAULT_FEATURES, Request
from objclass.core import PIXEL_ROLE, Lane, PixelSize
from objclass.errors import OutputError, UsageError
from objclass.export.checks import (
    check_dialect,
    check_metadata,
    check_sinks,
    check_tables,
    collisions,
    disagreements,
)
from objclass.export.colors import PICTURES
from objclass.export.columns import layout_of
from objclass.export.images import PIXEL_PROBABILITIES, PIXEL_SOURCES, SOURCES
from objclass.export.naming import (
    PLACEHOLDERS,
    TABLE_PLACEHOLDERS,
    Output,
    Task,
    check_placeholders,
    check_stored,
    dictionary_path,
    object_paths,
    picture_paths,
    plan_output,
    table_path,
)
from objclass.export.profiles import NUMBERED, columns_of
from objclass.export.report import Report, report_kind
from objclass.export.summary import Summary, is_known
from objclass.export.tables import TableDetails, writer_for
from objclass.export.tidy import needed_besides
from objclass.features.contract import choose
from objclass.images.paths import name_fault
from objclass.pipeline.inputs import distinct_names
from objclass.pipeline.plan import ILASTIK, Plan, check_header, check_lane, plan_for
from objclass.pipeline.sizes import described_sizes
from objclass.pixels.chain import PixelChain
from objclass.project.model import Project, class_colors
from objclass.project.pixel_model import PixelProject
from objclass.registry import output_format
from objclass.settings import EXPORT_DEFAULTS, ExportSettings, ThresholdSettings
from objclass.version import __version__

log = logging.getLogger("objclass")

EXAMPLES_OF_ONE, EXAMPLES_OF_MANY = 10, 3
"""Objects of each class and kind that a lane shows in a report: of a run of one lane, of several."""


def make_plan(
    request: Request,
    lanes: Sequence[Lane],
    project: Project | PixelProject | None,
    pixels: PixelChain | None = None,
    *,
    headers_only: bool = False,
) -> Plan:
    """What to measure, and whether it fits all lanes; ``pixels`` makes the prediction maps, if anything does.

    With ``headers_only``, no pixel is looked at.

    Raises
    ------
    ObjclassError
        If a lane does not fit, or would have other columns than the first.
    """
    if isinstance(project, PixelProject):
        return Plan((), (), pixel_size=request.pixel_size, pixels=pixels, pixel_project=project)
    if project is not None:
        plan = replace(plan_for(project, lanes, request.pixel_size), pixels=pixels)
        if isinstance(request.pixel_size, PixelSize) and request.profile == ILASTIK:
            log.info("--pixel_size is only stored in the images: a project measures in pixels")
    else:
        first = lanes[0]
        names = request.features or DEFAULT_FEATURES
        features = tuple(choose(names, first.objects.ndim, first.channels))
        places = choose(["Default features"], first.objects.ndim, first.channels)
        margin = (request.margin,) * first.objects.ndim
        plan = Plan(
            tuple(dict.fromkeys([*features, *places])),
            features,
            request.threshold,
            margin,
            None,
            request.pixel_size,
            pixels,
        )
    plan = _with_profile(plan, request.profile, lanes)
    check = check_header if headers_only else check_lane
    for lane in lanes:
        check(lane, plan)
    sizes = (described_sizes(plan.threshold, lane, plan.carried_size(lane)) for lane in lanes)
    for line in dict.fromkeys(line for lines in sizes for line in lines):
        log.info("%s", line)
    _check_one_unit(lanes, plan)
    return plan


def _with_profile(plan: Plan, profile: str, lanes: Sequence[Lane]) -> Plan:
    """The plan with a profile of columns, and the features that its physical columns are computed from."""
    plan = replace(plan, profile=profile)
    besides = [feature for lane in lanes for feature in needed_besides(layout_of(lane, plan))]
    if profile != ILASTIK and not any(plan.given_size(lane) for lane in lanes):
        sized = next((lane for lane in lanes if lane.pixel_size is not None), None)
        if sized is not None:
            log.info("%s has a pixel size: --pixel_size file adds columns in um", sized.objects.name)
    return replace(plan, features=tuple(dict.fromkeys([*plan.features, *besides])))


def _check_one_unit(lanes: Sequence[Lane], plan: Plan) -> None:
    """Refuse lanes that would be measured in several units."""
    units = {plan.measured_size(lane).unit: lane.objects.name for lane in lanes}
    if len(units) > 1:
        units_of_lanes = ", ".join(f"{name} in {unit or 'no unit'}" for unit, name in units.items())
        message = f"--pixel_size: {units_of_lanes}: expected one unit for all lanes: give the size in numbers"
        raise UsageError(message)


def _may_be_stored(outputs: Sequence[Output], project: Project | PixelProject, lane: Lane) -> bool:
    """Whether images may be written to the paths stored in the project; else a warning says why not."""
    try:
        for path in [path for output in outputs for path in output.files]:
            check_stored(path, project, lane)
    except OutputError as fault:
        log.warning(
            "%s: %s: images are written next to the data (to choose another place, give --output_filename_format)",
            lane.nickname,
            fault,
        )
        return False
    return True


def result_images(request: Request, plan: Plan) -> tuple[str, ...]:
    """The result images that are asked for, or those that are usual.

    Raises
    ------
    UsageError
        If there are no such images in this workflow.
    """
    if plan.pixel_project is not None:
        wanted = (request.table, request.summary, request.report)
        if request.table_only or any(path is not None for path in wanted) or request.objects:
            what = "a report" if request.report is not None else "a table"
            message = (
                f"{plan.pixel_project.path} classifies pixels, and finds no objects for {what}: give it as "
                "--pixel_project, with --threshold or the --project of an object classification"
            )
            raise UsageError(message)
        known: tuple[str, ...] = PIXEL_SOURCES
    else:
        known = SOURCES if plan.project is not None else ("Object Identities",)
        if plan.pixels is not None:
            known = (*known, PIXEL_PROBABILITIES, "Simple Segmentation")
    pixel_image = (PIXEL_PROBABILITIES,) if request.pixel_image and PIXEL_PROBABILITIES in known else ()
    if request.pixel_image and not pixel_image:
        log.warning("--export_pixel_probability_img is ignored: only projects of pixels and objects have it")
    sources = () if request.table_only else (request.sources or pixel_image or known[:1])
    sources = tuple(dict.fromkeys([*sources, *pixel_image]))
    wrong = next((source for source in sources if source not in known), None)
    if wrong is not None:
        why = "" if plan.trained is not None else "without --project there are no classes: "
        message = f"{wrong}: {why}expected {', '.join(known)}"
        raise UsageError(message)
    return sources


def _check_placeholders(request: Request, settings: ExportSettings, *, images: bool) -> None:
    """Refuse unknown placeholders in the paths that are given; ilastik writes them as they stand."""
    check_placeholders("table_filename", request.table, TABLE_PLACEHOLDERS)
    for path in request.objects:
        check_placeholders("export_objects", path, TABLE_PLACEHOLDERS)
    if images:
        kind = output_format(str(settings.output_format))
        slices = ("slice_index",) if kind is not None and kind.part else ()
        check_placeholders(
            "output_filename_format", request.export.output_filename_format, (*PLACEHOLDERS, *slices)
        )
        check_placeholders("output_internal_path", request.export.output_internal_path, PLACEHOLDERS)


def plan_summary(path: str | None, plan: Plan, lanes: Sequence[Lane]) -> Summary | None:
    """The summary of all lanes, if it is asked for.

    Raises
    ------
    UsageError
        If its suffix is not that of a table, or a placeholder is in its name.
    """
    if path is None:
        return None
    _check_one("summary_filename", path, "summary")
    writer_for(path)
    has_sizes = any(is_known(plan.carried_size(lane)) for lane in lanes)
    has_novelty = plan.project is not None and plan.project.novelty is not None
    return Summary(path, plan.project is not None, has_sizes, has_novelty)


def _check_one(option: str, path: str, what: str) -> None:
    """Refuse placeholders in the name of a file of all lanes, and URLs."""
    if wrong := name_fault(path):
        message = f"--{option} {path}: {wrong}: give another name"
        raise OutputError(message)
    if "{" in path:
        message = f"--{option} {path}: expected a name without placeholders: all images are in one {what}"
        raise UsageError(message)


def plan_report(request: Request, plan: Plan, lanes: Sequence[Lane], names: Sequence[str]) -> Report | None:
    """The report of all lanes, if it is asked for.

    Raises
    ------
    UsageError
        If its suffix is not that of a report, a placeholder is in its name, or a library is not installed.
    """
    path, project = request.report, plan.project
    if path is None:
        return None
    _check_one("report", path, "report")
    report_kind(path)
    classes = project.classes if project is not None else ("",)
    colors = class_colors(project.colors if project is not None else (), len(classes))
    examples = EXAMPLES_OF_ONE if len(lanes) == 1 else EXAMPLES_OF_MANY
    facts = tuple(_provenance(request, plan, lanes))
    name = Path(project.path).name if project is not None else ""
    novelty = project.novelty if project is not None else None
    trained_on = novelty.images if novelty is not None else 1
    return Report(path, name, tuple(names), classes, colors, trained_on, examples, facts)


def _provenance(request: Request, plan: Plan, lanes: Sequence[Lane]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where the results of a run come from, for its report."""
    yield "objclass", (__version__,)
    for role, trained in (("project", plan.trained), ("pixel classification", plan.pixels)):
        if trained is not None and trained.path:
            digest = file_entry(trained.path, "content").get("sha256", "")
            yield role, (f"{Path(trained.path).name}, SHA-256 {digest}",)
    if plan.project is not None:
        yield "workflow", (plan.project.workflow,)
        yield "project was saved by version", (plan.project.version,)
    if any(lane.role == "prediction_maps" for lane in lanes):
        settings = {f.name: getattr(plan.threshold, f.name) for f in fields(ThresholdSettings)}
        yield "thresholds", (", ".join(f"{name} {value}" for name, value in settings.items()),)
    if request.pixel_size is not None:
        given = request.pixel_size
        yield "pixel size", (given if isinstance(given, str) else given.described(3),)
    yield "features", tuple(f"{feature.set_name}: {feature.name}" for feature in plan.features)


def _details(request: Request, plan: Plan, lane: Lane) -> TableDetails:
    """What writers need to know of the tables of a lane; paths and numbers of threads differ between equal runs."""
    trained = plan.trained
    facts = {
        "objclass": __version__,
        "columns": plan.profile,
        "project": Path(trained.path).name if trained is not None else None,
        "classes": list(trained.classes) if trained is not None else [],
        "features": [": ".join(feature.key) for feature in plan.shown],
        "threshold": asdict(plan.threshold),
    }
    units = {column.name: column.unit for column in columns_of(lane, plan) if column.unit}
    return TableDetails(request.csv_dialect, units, facts)


def _first_steps(lanes: Sequence[Lane], plan: Plan) -> list[int]:
    """The number of the first time step of each lane, from 1, where the table shows it."""
    counts = (lane.objects.shape[0] if plan.profile in NUMBERED else 0 for lane in lanes)
    return list(accumulate(counts, initial=1))[:-1]


def plan_tasks(request: Request, plan: Plan, lanes: Sequence[Lane]) -> list[Task]:
    """The tasks of a run: each lane with the files that it writes.

    Raises
    ------
    ObjclassError
        If two outputs are one file, one would overwrite an input, or a folder cannot be written.
    """
    tasks = make_tasks(request, plan, lanes)
    found = collisions(tasks, other_inputs(request), resumed=request.batch.resume)
    for _, fault in (*disagreements(tasks, plan), *found):
        raise fault
    return tasks


def other_inputs(request: Request) -> list[str]:
    """Files that are read, other than images."""
    others = (request.project, request.pixel_project, request.inputs.manifest)
    return [path for path in others if path]


def make_tasks(request: Request, plan: Plan, lanes: Sequence[Lane]) -> list[Task]:
    """Each lane with the files that it writes, which may clash with those of other lanes.

    Raises
    ------
    ObjclassError
        If a lane cannot be written.
    """
    project = plan.trained
    settings = EXPORT_DEFAULTS
    if project is not None:
        settings = project.export.over(settings)
    settings = request.export.over(settings)
    named = request.export.output_filename_format
    is_stored = named is None and settings.output_filename_format != EXPORT_DEFAULTS.output_filename_format
    sources = result_images(request, plan)
    if request.export_colors and plan.project is None:
        message = "--export_colors: without an object classification (--project) objects have no classes"
        raise UsageError(message)
    base = Path.cwd()
    if project is not None and request.export.output_filename_format is None:
        base = Path(project.path).resolve().parent
    names = distinct_names(lanes)
    crop_margin = None
    if request.table_images:
        crop_margin = plan.project.table.margin if plan.project and plan.project.table else 0
    summary = plan_summary(request.summary, plan, lanes)
    report = plan_report(request, plan, lanes, names)
    tasks = []
    same: dict[tuple[tuple[str, str], ...], TableDetails] = {}
    for lane, name, first_step in zip(lanes, names, _first_steps(lanes, plan), strict=True):
        of_lane = replace(settings, cutout_subregion=lane.cutout or settings.cutout_subregion)
        place = partial(plan_output, lane=lane, plan=plan, base=base, ilastik_names=request.ilastik_names)
        outputs = tuple(place(source, settings=of_lane) for source in sources)
        usual = replace(of_lane, output_filename_format=EXPORT_DEFAULTS.output_filename_format)
        if is_stored and project is not None and not _may_be_stored(outputs, project, lane):
            outputs = tuple(place(source, settings=usual) for source in sources)
        path = None
        if lane.role != PIXEL_ROLE:
            path = table_path(
                request.table, plan, lane, needed=request.table_only, ilastik_names=request.ilastik_names
            )
        dictionary = dictionary_path(path) if path is not None and plan.profile != ILASTIK else None
        pictures: tuple[str, ...] = ()
        if request.export_colors:  # paths stored in a project are not used for them
            pictures = picture_paths(PICTURES, lane, usual if is_stored else of_lane, base)
        objects = object_paths(request.objects, lane)
        details = _details(request, plan, lane)
        details = same.setdefault(
            tuple(details.units.items()), details
        )  # one for many lanes: there may be 100,000
        tasks.append(
            Task(
                lane,
                name,
                outputs,
                path,
                pictures,
                crop_margin,
                summary,
                report,
                objects,
                details,
                dictionary,
                first_step,
            )
        )
    if not request.ilastik_names:
        _check_placeholders(request, settings, images=any(task.outputs or task.pictures for task in tasks))
    check_tables(tasks, request.table)
    check_dialect(tasks)
    check_metadata(tasks, plan)
    check_sinks(tasks, plan)
    return tasks
