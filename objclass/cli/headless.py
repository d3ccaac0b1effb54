"""``objclass --headless``: the run, in the language of ilastik's headless mode."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Optional

from objclass.cli import Parser, set_up_log
from objclass.cli.inputs import InputOptions, check_thresholds, read_inputs, read_pixel_size
from objclass.cli.progress import progress_bar
from objclass.errors import Stop, UsageError
from objclass.settings import ExportSettings, ResourceSettings, ThresholdSettings, default_of, knob

log = logging.getLogger("objclass")

SOURCES = {
    "object predictions": "Object Predictions",
    "object probabilities": "Object Probabilities",
    "object identities": "Object Identities",
    "blockwise object predictions": "Object Predictions",
    "blockwise object probabilities": "Object Probabilities",
}
"""Names that --export_source takes (in any case) -> the result image."""

NEEDLESS = {
    "preconvert_stacks": "--preconvert_stacks is needless: stacks are read slice by slice",
    "nobatch": "--nobatch is ignored: there is only batch",
    "distributed": "--distributed is ignored: one process does it all",
    "distributed_block_roi": "--distributed_block_roi is ignored: one process does it all",
    "configfile": "--configfile is ignored: options are given on the command line",
    "redirect_output": "--redirect_output is ignored: redirect stderr, or give --logfile",
    "process_name": "--process_name is ignored",
    "fillmissing": "--fillmissing is ignored: features that are not finite are 0, as in ilastik",
}
"""Options of ilastik that mean nothing here -> what the user is told."""


@dataclass(frozen=True)
class HeadlessOptions(ThresholdSettings, ExportSettings, ResourceSettings, InputOptions):
    """All options of the run."""

    inputs: Optional[list[str]] = knob(
        None, "raw images, if no role is named", args=["inputs"], nargs="*", type=str, metavar="RAW"
    )
    headless: bool = knob(False, "run without a window (there is none)")
    project: Optional[str] = knob(
        None, "trained project; without one, objects are measured, not classified", metavar="P.ilp"
    )
    ignore_training_axistags: bool = knob(
        False, "files say their axes, not the lane that the project was trained on"
    )
    export_object_prediction_img: bool = knob(False, "write the class image (default)")
    export_object_probability_img: bool = knob(False, "write the probability image")
    export_object_identities_img: bool = knob(False, "write the label image")
    export_pixel_probability_img: bool = knob(False, "not supported yet")
    export_source: Optional[list[str]] = knob(
        None, "write this result image; may be repeated", repeat=True, type=str, metavar="NAME"
    )
    table_only: bool = knob(False, "write no image, only the table")
    table_filename: Optional[str] = knob(
        None, "write the table: .csv .tsv .h5, with {dataset_dir} {nickname}", metavar="PATH"
    )
    table_images: bool = knob(False, "put a picture of each object into the table (.h5), as ilastik does")
    table_columns: str = knob("ilastik", "columns of the table", choices=("ilastik",))
    features: Optional[list[str]] = knob(
        None, "what to measure without a project: sets or set:feature (default: regionprops)",
        nargs="+", type=str, metavar="NAME",
    )  # fmt: skip
    margin: int = knob(30, "neighbourhood in pixels", minimum=1)
    retrain: bool = knob(False, "train the project's classifier again, on its own labels")
    quiet: bool = knob(False, "only warnings and errors")
    debug: bool = knob(False, "show where an error came from, and where the time went")
    logfile: Optional[str] = knob(None, "write messages to this file as well", metavar="FILE")
    readonly: Optional[str] = knob(
        None, "projects are always opened read-only", nargs="?", type=str, const="true", metavar="BOOL"
    )
    preconvert_stacks: bool = knob(False, "accepted, needless")
    nobatch: bool = knob(False, "accepted, ignored")
    distributed: bool = knob(False, "accepted, ignored")
    distributed_block_roi: Optional[str] = knob(None, "accepted, ignored")
    configfile: Optional[str] = knob(None, "accepted, ignored")
    redirect_output: Optional[str] = knob(None, "accepted, ignored")
    process_name: Optional[str] = knob(None, "accepted, ignored")
    fillmissing: Optional[str] = knob(None, "accepted, ignored")


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Parse the options, run."""
    parser = Parser(HeadlessOptions, "objclass --headless", "Classify the objects of images.")
    options: HeadlessOptions = parser.parse_args(list(arguments))
    set_up_log(quiet=options.quiet, debug=options.debug, logfile=options.logfile)
    for name, told in NEEDLESS.items():
        if getattr(options, name):
            log.warning("%s", told)
    if not options.headless:
        message = "expected --headless, or a command: train, inspect, features (objclass --help)"
        raise UsageError(message)
    if not _inputs_given(options):
        log.info("nothing to do: give --raw_data and --segmentation_image (objclass --headless --help)")
        return 0
    from objclass import batch

    request = _request(options, arguments)
    count = max(len(paths) for paths in request.inputs.paths.values())
    with progress_bar(count, quiet=options.quiet) as progress:
        return batch.run(request, progress, stop)


def _inputs_given(options: HeadlessOptions) -> bool:
    named = [f.name for f in fields(InputOptions) if f.metadata.get("metavar") == "IMAGE"]
    given = [name for name in named if getattr(options, name)]
    if options.inputs and given:
        message = (
            f"{', '.join(options.inputs)}: images without a name are raw data, but --{given[0]} is given: "
            "name all of them (--raw_data a.png b.png)"
        )
        raise UsageError(message)
    return bool(options.inputs or given)


def _request(options: HeadlessOptions, arguments: Sequence[str]) -> Any:
    """The options as the batch takes them."""
    from dataclasses import replace

    from objclass import batch

    check_thresholds(options, needed=bool(options.prediction_maps))
    threshold = ThresholdSettings(**{f.name: getattr(options, f.name) for f in fields(ThresholdSettings)})
    if options.project is not None:
        check_thresholds(options, needed=False, why=f"thresholds are stored in {options.project}")
    if options.project is not None and options.features:
        message = f"--features: {options.project} says which features there are"
        raise UsageError(message)
    if options.project is not None and options.margin != default_of(HeadlessOptions, "margin"):
        message = f"--margin: {options.project} says how large neighbourhoods are"
        raise UsageError(message)
    if options.inputs:
        options = replace(options, raw_data=options.inputs, inputs=None)
    return batch.Request(
        inputs=read_inputs(options, ignore_training_axes=options.ignore_training_axistags),
        project=options.project,
        export=ExportSettings(**{f.name: getattr(options, f.name) for f in fields(ExportSettings)}),
        sources=_sources(options),
        table=options.table_filename,
        table_only=options.table_only,
        threshold=threshold,
        features=tuple(options.features or ()),
        margin=options.margin,
        pixel_size=read_pixel_size(options.pixel_size),
        retrain=options.retrain,
        table_images=options.table_images,
        resources=ResourceSettings(**{f.name: getattr(options, f.name) for f in fields(ResourceSettings)}),
        arguments=tuple(arguments),
    )


def _sources(options: HeadlessOptions) -> tuple[str, ...]:
    """The result images that were asked for, each once."""
    if options.export_pixel_probability_img:
        log.warning("--export_pixel_probability_img is ignored: only Pixel + Object projects have one")
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
