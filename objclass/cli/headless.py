"""``objclass --headless``: the run, with the options of ilastik's headless mode."""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from os.path import expanduser as expand_home
from typing import Any, ClassVar, Optional

from objclass.cli import Parser
from objclass.cli.environment import check_address_space, resources, wants_ilastik_names
from objclass.cli.inputs import InputOptions, check_thresholds, read_inputs, read_pixel_size, with_lanes
from objclass.cli.messages import MessageOptions, printable, set_up_log
from objclass.cli.progress import reported
from objclass.errors import Stop, UsageError
from objclass.registry import TABLE_PROFILES, object_formats, table_formats
from objclass.settings import (
    ROLES,
    BatchSettings,
    EngineSettings,
    ExportSettings,
    ResourceSettings,
    ThresholdSettings,
    knob,
)

log = logging.getLogger("objclass")

SOURCES = {
    "probabilities": "Probabilities",
    "pixel probabilities": "Pixel Probabilities",
    "simple segmentation": "Simple Segmentation",
    "uncertainty": "Uncertainty",
    "features": "Features",
    "object predictions": "Object Predictions",
    "object probabilities": "Object Probabilities",
    "object identities": "Object Identities",
    "blockwise object predictions": "Object Predictions",
    "blockwise object probabilities": "Object Probabilities",
}
"""Names that --export_source takes (in any case) -> the result image."""

NEEDLESS = {
    "preconvert_stacks": "--preconvert_stacks is ignored: stacks are read slice by slice",
    "nobatch": "--nobatch is ignored: there is only batch processing",
    "distributed": "--distributed is ignored: one process runs all blocks",
    "distributed_block_roi": "--distributed_block_roi is ignored: one process runs all blocks",
    "configfile": "--configfile is ignored: options are given on the command line",
    "redirect_output": "--redirect_output is ignored: redirect stderr, or give --logfile",
    "process_name": "--process_name is ignored",
    "fillmissing": "--fillmissing is ignored: features that are not finite are 0, as in ilastik",
}
"""Options of ilastik that have no effect here -> the line that says so."""


OTHER_WORKFLOWS = {
    "binary_image": "Tracking",
    "export_plugin": "Tracking",
    **dict.fromkeys(("nn_device", "tiktorch_executable"), "Neural Network Classification"),
    **dict.fromkeys(
        (
            "generate_random_labels", "label_proportion", "label_search_value",
            "print_labels_by_slice", "random_label_count", "random_label_value", "tree_count",
            "variable_importance_path",
        ),
        "Pixel Classification",
    ),
}  # fmt: skip
"""Options of ilastik's other workflows -> the workflow."""

USAGE = "objclass --headless --project P.ilp --raw_data IMAGE … --segmentation_image IMAGE … [options]"


@dataclass(frozen=True)
class RunInputs(InputOptions):
    """Options that select the images to read."""

    inputs: Optional[list[str]] = knob(
        None, "raw images, if --raw_data is not given", args=["inputs"], nargs="*", type=str, metavar="RAW"
    )
    metadata_regex: Optional[str] = knob(
        None,
        "regular expression that is found in the nickname of each lane (with / in it: in the path of its raw image); its "
        "named groups, such as (?P<well>[A-H][0-9]+), are columns of the table",
        metavar="REGEX",
    )
    ignore_training_axistags: bool = knob(
        False, "take axes from the files, not from the project's training images"
    )


@dataclass(frozen=True)
class ProjectOptions:
    """The project, or what is measured without one."""

    group: ClassVar[str] = "project"

    headless: bool = knob(False, "run without a window; objclass has none")
    project: Optional[str] = knob(
        None, "trained project; without one, objects are measured, not classified", metavar="P.ilp",
        type=expand_home,
    )  # fmt: skip
    pixel_project: Optional[str] = knob(
        None,
        "trained pixel classification: makes the prediction maps from raw data, for --project or --threshold",
        metavar="P.ilp", type=expand_home,
    )  # fmt: skip
    retrain: bool = knob(False, "train the project's classifier again, on its own labels")
    novelty: bool = knob(
        False,
        "with a project of ilastik: say how unlike its labelled objects each object is (Novelty; projects trained by objclass "
        "always do)",
    )
    features: Optional[list[str]] = knob(
        None, "without a project: features to measure, sets or set:feature (default: regionprops)",
        nargs="+", type=str, metavar="NAME",
    )  # fmt: skip
    margin: int = knob(30, "without a project: width of the neighbourhood in pixels", minimum=1)


@dataclass(frozen=True)
class ImageOptions(ExportSettings):
    """Options that select the images to write, and their format."""

    export_object_prediction_img: bool = knob(False, "write the class image, 1 for the first class (default)")
    export_object_probability_img: bool = knob(False, "write the probability image")
    export_object_identities_img: bool = knob(False, "write the label image")
    export_pixel_probability_img: bool = knob(
        False, "write the probabilities of pixels, where they are computed"
    )
    export_source: Optional[list[str]] = knob(
        None, "write this result image; may be repeated", repeat=True, type=str, metavar="NAME"
    )
    export_colors: bool = knob(
        False,
        "write PNG files to look at: the classes in their colors, and their outlines on the raw data, of the middle "
        "plane of the middle time step (class images look black in most viewers)",
    )
    table_only: bool = knob(False, "write no image, only the table")
    ilastik_names: bool = knob(
        False,
        "name files exactly as ilastik does: the table x.csv becomes x_table.csv, and the name of an image is cut at "
        "its last dot (also: OBJCLASS_ILASTIK_NAMES=1)",
    )


@dataclass(frozen=True)
class TableOptions:
    """A row for each object."""

    group: ClassVar[str] = "table"

    table_filename: Optional[str] = knob(
        None,
        f"write the table: {' '.join(entry.suffix for entry in table_formats())}, with {{dataset_dir}} {{nickname}}; without "
        "{nickname}, one table for all lanes",
        metavar="PATH",
    )
    summary_filename: Optional[str] = knob(
        None,
        "write one table for all images, with a row for each image, time step and class: number of objects, share, mean size "
        "and uncertainty; the suffixes are those of tables (default: no summary)",
        metavar="PATH",
        type=expand_home,
    )
    report: Optional[str] = knob(
        None,
        "write a page that shows what the run has found, one file (.html): number of objects of each class and image, "
        "certainty, pictures of typical and of uncertain objects",
        metavar="FILE",
        type=expand_home,
    )
    table_images: bool = knob(False, "put a picture of each object into the table (.h5), as ilastik does")
    table_columns: str = knob(
        "ilastik",
        "names and order of the columns; with all but ilastik, the file TABLE_columns.csv describes them, and with "
        "--pixel_size lengths and sizes are also in um",
        choices=tuple(TABLE_PROFILES),
    )
    csv_dialect: str = knob(
        "standard",
        "how CSV is written; excel: with a byte order mark, and no text that a spreadsheet would run as a formula; excel-eu: "
        "also with semicolons and decimal commas",
        choices=("standard", "excel", "excel-eu"),
    )


@dataclass(frozen=True)
class ObjectOptions:
    """Objects for other programs."""

    group: ClassVar[str] = "objects for other programs"

    export_objects: Optional[list[str]] = knob(
        None,
        "write the objects of each lane for another program: a path with {dataset_dir} {nickname}, whose suffix selects "
        f"the format: {', '.join(suffix for entry in object_formats() for suffix in entry.suffixes)}; may be repeated",
        repeat=True,
        type=str,
        metavar="PATH",
    )


@dataclass(frozen=True)
class IlastikOptions:
    """Options of ilastik that have no effect."""

    group: ClassVar[str] = "accepted for ilastik"

    readonly: Optional[str] = knob(
        None, "projects are always opened read-only", nargs="?", type=str, const="true", metavar="BOOL"
    )
    preconvert_stacks: bool = knob(False, "accepted, ignored")
    nobatch: bool = knob(False, "accepted, ignored")
    distributed: bool = knob(False, "accepted, ignored")
    distributed_block_roi: Optional[str] = knob(None, "accepted, ignored")
    configfile: Optional[str] = knob(None, "accepted, ignored")
    redirect_output: Optional[str] = knob(None, "accepted, ignored")
    process_name: Optional[str] = knob(None, "accepted, ignored")
    fillmissing: Optional[str] = knob(None, "accepted, ignored")


@dataclass(frozen=True)
class HeadlessOptions(
    RunInputs,
    ProjectOptions,
    ImageOptions,
    TableOptions,
    ObjectOptions,
    ThresholdSettings,
    BatchSettings,
    EngineSettings,
    ResourceSettings,
    MessageOptions,
    IlastikOptions,
):
    """All options of the run."""

    def __post_init__(self) -> None:
        ThresholdSettings.__post_init__(self)  # checks the ranges of all knobs
        ExportSettings.__post_init__(self)
        BatchSettings.__post_init__(self)
        EngineSettings.__post_init__(self)


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Parse the options, run."""
    parser = Parser(HeadlessOptions, "objclass --headless", "Classify the objects of images.", USAGE)
    options: HeadlessOptions
    options, unknown = parser.parse_known_args(list(arguments))
    set_up_log(options)
    if options.project is not None:  # a wrong workflow explains all other errors
        from objclass.project.open import check_workflow

        for path in filter(None, (options.project, options.pixel_project)):
            check_workflow(path)
    if "--" not in arguments:  # argparse takes an argument with a space for a value, such as --optoin="a b"
        unknown += [name for name in options.inputs or () if name.startswith("--")]
    _refuse_other_workflows(unknown)
    parser.refuse(unknown)
    for name, line in NEEDLESS.items():
        if getattr(options, name):
            log.warning("%s", line)
    if not options.headless:
        message = "expected --headless, or a command: train, evaluate, inspect, features, runs, rerun, merge, compile (objclass --help)"
        raise UsageError(message)
    options = _with_roles(options, arguments)
    if options.manifest is None and not any(getattr(options, role) for role in ROLES):
        hint = "give --raw_data and --segmentation_image (objclass --headless --help)"
        if options.project is not None:
            message = f"no images for {options.project}: {hint}"
            raise UsageError(message)
        log.info("nothing to do: %s", hint)
        return 0
    check_address_space()
    from objclass import batch

    request = _request(options, arguments)
    if options.dry_run:
        return _dry_run(request)
    with reported(request.inputs.count, quiet=options.quiet) as progress:
        return batch.run(request, progress, stop, progress.expect)


def _dry_run(request: Any) -> int:
    """Print what the run would do to stdout, and what is wrong to stderr."""
    from objclass.batch import dry_run

    found = dry_run.survey(request)
    lines = dry_run.as_json(found).split("\n") if request.batch.json else dry_run.as_lines(found)
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    for fault in found.faults:
        log.error("%s%s", f"{fault.lane}: " if fault.lane else "", fault.message)
    if found.faults:
        log.error("%d faults; nothing was written", len(found.faults))
    return UsageError.exit_code if found.faults else 0


def _refuse_other_workflows(unknown: Sequence[str]) -> None:
    """Refuse options that ilastik has for other workflows."""
    for name in (argument.partition("=")[0].removeprefix("--") for argument in unknown):
        if name in OTHER_WORKFLOWS:
            workflow = OTHER_WORKFLOWS[name]
            message = f"--{name}: is an option of ilastik's {workflow} that has no meaning here"
            raise UsageError(message)


def _with_roles(options: HeadlessOptions, arguments: Sequence[str]) -> HeadlessOptions:
    """The options, with images without a name as raw data: as in ilastik, only before all roles.

    Raises
    ------
    UsageError
        If it is not clear that they are raw data.
    """
    if not options.inputs:
        return options
    given = [role for role in ROLES if role in options.given]
    flags = [number for number, text in enumerate(arguments) if text.partition("=")[0][2:] in given]
    is_first = not flags or arguments.index(options.inputs[0]) < min(flags)
    if "raw_data" in given or not is_first:
        message = (
            f"{', '.join(options.inputs)}: images without a name are raw data, but --{given[0]} is given: "
            "name all of them (--raw_data a.png b.png)"
        )
        raise UsageError(message)
    return replace(options, raw_data=options.inputs, inputs=None)


def _request(options: HeadlessOptions, arguments: Sequence[str]) -> Any:
    """The options as a `BatchRequest`."""
    from objclass import batch

    inputs = replace(
        with_lanes(options, read_inputs(options, ignore_training_axes=options.ignore_training_axistags)),
        metadata_regex=options.metadata_regex,
    )
    selects_channel = bool({"segmentation_image", "label_image"} & {*inputs.roles})
    used = ("channel",) if selects_channel else ()
    needs_threshold = "prediction_maps" in inputs.roles or options.pixel_project is not None
    check_thresholds(options, needed=needs_threshold, used=used)
    if options.project is not None:
        why = f"thresholds are stored in {options.project}"
        check_thresholds(options, needed=False, why=why, used=used)
        for name in ("features", "margin"):
            if name in options.given:
                message = f"--{name}: is stored in {options.project}"
                raise UsageError(message)
    threshold = ThresholdSettings(**{f.name: getattr(options, f.name) for f in fields(ThresholdSettings)})
    return batch.Request(
        inputs=replace(
            inputs, channel=options.channel if selects_channel and "channel" in options.given else None
        ),
        project=options.project,
        pixel_project=options.pixel_project,
        export=ExportSettings(**{f.name: getattr(options, f.name) for f in fields(ExportSettings)}),
        sources=_sources(options),
        pixel_image=options.export_pixel_probability_img,
        table=options.table_filename,
        table_only=options.table_only,
        profile=options.table_columns,
        summary=options.summary_filename,
        report=options.report,
        objects=tuple(options.export_objects or ()),
        csv_dialect=options.csv_dialect,
        threshold=threshold,
        features=tuple(options.features or ()),
        margin=options.margin,
        pixel_size=read_pixel_size(options.pixel_size),
        retrain=options.retrain,
        novelty=options.novelty,
        table_images=options.table_images,
        export_colors=options.export_colors,
        ilastik_names=options.ilastik_names or wants_ilastik_names(),
        batch=BatchSettings(**{f.name: getattr(options, f.name) for f in fields(BatchSettings)}),
        engine=EngineSettings(**{f.name: getattr(options, f.name) for f in fields(EngineSettings)}),
        resources=resources(options),
        arguments=tuple(_repeatable(options, arguments)),
    )


def _repeatable(options: HeadlessOptions, arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, as they mean the same outside of an array job."""
    for before, text in zip(["", *arguments], arguments, strict=False):
        is_auto = text == "--shard=auto" or (before, text) == ("--shard", "auto")
        yield text.replace("auto", str(options.shard)) if is_auto else text


def _sources(options: HeadlessOptions) -> tuple[str, ...]:
    """The requested result images, each once."""
    names = []
    if options.export_object_prediction_img:
        names.append("Object Predictions")
    if options.export_object_probability_img:
        names.append("Object Probabilities")
    if options.export_object_identities_img:
        names.append("Object Identities")
    for given in options.export_source or ():
        source = SOURCES.get(given.lower())
        if source is None:
            message = (
                f"--export_source '{given}': expected one of {', '.join(dict.fromkeys(SOURCES.values()))}"
            )
            raise UsageError(message)
        if given.lower().startswith("blockwise"):
            log.info("%s: the result is that of the whole image", given)
        names.append(source)
    return tuple(dict.fromkeys(names))
