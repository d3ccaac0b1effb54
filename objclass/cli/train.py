"""``objclass train``: a project from images and labels."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from os.path import expanduser as expand_home
from typing import TYPE_CHECKING, ClassVar, Optional

from objclass.cli import Parser
from objclass.cli.environment import resources
from objclass.cli.folds import FoldOptions
from objclass.cli.inputs import (
    InputOptions,
    check_thresholds,
    given_files,
    read_inputs,
    read_pixel_size,
    with_lanes,
)
from objclass.cli.messages import MessageOptions, printable, set_up_log
from objclass.cli.outputs import check_files
from objclass.cli.progress import reported
from objclass.cli.suggestions import MAXIMUM_SUGGESTIONS, suggestions_beside
from objclass.cli.train_pixels import PixelTrainingOptions, SuggestionOptions, train_pixels
from objclass.errors import Stop, UsageError
from objclass.settings import CLASS_WEIGHTS, ProjectThreshold, ResourceSettings, ThresholdSettings, knob

if TYPE_CHECKING:
    from objclass.evaluation.settings import EvaluationSettings
    from objclass.training.learn import TrainingResult
    from objclass.training.request import TrainingRequest

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class LearningOptions:
    """The labels, the features and the forest that is trained."""

    group: ClassVar[str] = "training"

    project: Optional[str] = knob(
        None,
        "the project to write (.ilp); with --output, the one to add labels to",
        metavar="P.ilp",
        type=expand_home,
    )
    output: Optional[str] = knob(
        None,
        "add the new labels to those of --project and write the result here, with its images, features and "
        "thresholds; a new label of an object replaces the old one",
        metavar="OUT.ilp",
        type=expand_home,
    )
    overwrite: bool = knob(False, "replace an existing project")
    labels: Optional[list[str]] = knob(
        None,
        "files of labels, of any kinds together: tables (.csv .tsv .xlsx) with class and labelimage_oid or x,y[,z] "
        "(timestep, image), points of napari (.csv), GeoJSON of QuPath, regions of ImageJ (.zip .roi), projects (.ilp), whose "
        "images are added, and painted label images, whose values are the classes; with --pixels painted images and projects",
        nargs="+", type=expand_home, metavar="LABELS",
    )  # fmt: skip
    class_names: Optional[list[str]] = knob(
        None, "names of the classes, in the order of their numbers", nargs="+", type=str, metavar="NAME"
    )
    allow_misses: bool = knob(
        False,
        "accept labels of which more than a third lie on background, and labels of images that are not given (they are "
        "left out)",
    )
    features: Optional[list[str]] = knob(
        None,
        "features to learn from, sets or set:feature; best: the sets that did best on real images; auto: those of all sets that "
        "help to distinguish the classes (default: Standard Object Features, which ilastik has, too)",
        nargs="+",
        type=str,
        metavar="NAME",
    )
    margin: int = knob(30, "width of the neighbourhood in pixels", minimum=1)
    trees: int = knob(100, "number of trees", minimum=1, maximum=100000)
    seed: int = knob(
        0, "random state; the same input and seed result in the same bytes", minimum=0, maximum=2**32 - 1
    )
    class_weight: Optional[str] = knob(
        None,
        "balanced: objects of rare classes count more, so that each class counts the same (default: each object counts the same)",
        choices=CLASS_WEIGHTS,
    )


@dataclass(frozen=True)
class JudgementOptions(FoldOptions):
    """The classifier is judged by forests that are trained on a part of its labels. Objects of a group (an image) are
    held out together.
    """

    group: ClassVar[str] = "cross-validation"

    repeats: int = knob(
        1,
        "times that the classifier is judged by cross-validation, each time with other folds; 0: it is not judged",
        minimum=0,
        maximum=100,
    )


@dataclass(frozen=True)
class TrainOptions(
    InputOptions,
    LearningOptions,
    PixelTrainingOptions,
    SuggestionOptions,
    JudgementOptions,
    ThresholdSettings,
    ResourceSettings,
    MessageOptions,
):
    """All options of training."""


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Parse the options, train, print the number of objects of each class and the accuracy."""
    options = _parsed(arguments)
    set_up_log(options)
    _check(options)
    if options.pixels:
        return train_pixels(options, stop)
    _check_of_objects(options)
    request = _request(options)
    _check_files(options, request)
    from objclass.compute.context import Context
    from objclass.training.learn import train

    with reported(request.inputs.count, quiet=options.quiet) as progress:
        context = Context.of(
            resources(options), progress=progress, stop=stop, follow_links=options.follow_links
        )
        learned = train(request, context)
        if options.evaluation is not None:
            from objclass.evaluation.writing import write_evaluation

            assert learned.evaluation is not None
            write_evaluation(learned.evaluation, options.evaluation)
        _say(request, learned)
        if options.report is not None:  # last: whatever happens to it, the scores are there
            from objclass.project.open import open_project
            from objclass.report.of_project import save_report

            assert learned.evaluation is not None
            # as it was written: paths of images are relative to its place
            save_report(options.report, learned.evaluation, open_project(request.target), context)
    return 0


def _parsed(arguments: Sequence[str]) -> TrainOptions:
    usage = (
        "objclass train --project OUT.ilp --raw_data IMAGE … --segmentation_image IMAGE … --labels … [options]\n"
        "       objclass train --pixels --project OUT.ilp --raw_data IMAGE … --labels PAINTED … [options]"
    )
    parser = Parser(
        TrainOptions,
        "objclass train",
        "Train a project from images and labels, of objects or of pixels.",
        usage,
    )
    options: TrainOptions = parser.parse_args(list(arguments))
    return options


def _check(options: TrainOptions) -> None:
    """Refuse options without which nothing can be trained, or that change nothing."""
    if not options.project or not options.labels:
        message = "train needs --project OUT.ilp and --labels (objclass train --help)"
        raise UsageError(message)
    if options.pixel_size is not None and not _threshold(options).physical_sizes:
        message = (
            "--pixel_size: training uses it only for sizes such as --min_size 20um2, since projects measure in pixels; "
            "give it to the run"
        )
        raise UsageError(message)


def _threshold(options: TrainOptions) -> ThresholdSettings:
    return ThresholdSettings(**{f.name: getattr(options, f.name) for f in fields(ThresholdSettings)})


def _request(options: TrainOptions) -> "TrainingRequest":
    """The options as a request."""
    from objclass.training.request import TrainingRequest

    assert options.project is not None
    assert options.labels is not None
    inputs = with_lanes(options, read_inputs(options))
    if options.output is None:
        check_thresholds(options, needed="prediction_maps" in inputs.roles or not inputs.roles)
    threshold = _threshold(options)
    return TrainingRequest(
        options.project,
        inputs,
        options.labels,
        tuple(options.class_names or ()),
        ProjectThreshold(**vars(threshold), sigmas=(threshold.smooth,) * 3),
        tuple(options.features or ("Standard Object Features",)),
        options.margin,
        options.trees,
        options.seed,
        options.output,
        options.overwrite,
        options.allow_misses,
        read_pixel_size(options.pixel_size),
        options.class_weight,
        _evaluation(options),
        _suggestions(options),
        options.suggestions or suggestions_beside(options.output or options.project),
    )


def _say(request: "TrainingRequest", learned: "TrainingResult") -> None:
    """Say what was left out, what the project was trained on, and how good it is."""
    from objclass.evaluation.summary import summary_lines

    for line in learned.left_out:
        log.warning("left out: %s", line)
    counts = ", ".join(f"{name} {count}" for name, count in learned.counts.items())
    log.info(
        "%s: trained on %d objects: %s",
        request.target,
        sum(learned.counts.values()),
        counts,
    )
    if request.suggest and learned.suggested:
        log.info("%s: %d objects to label next", request.suggestions, learned.suggested)
    elif request.suggest:
        log.warning("--suggest: all objects have labels: nothing is written")
    log.info("out-of-bag accuracy %.3f (on the training images: expect less on new ones)", learned.accuracy)
    for line in summary_lines(learned.evaluation) if learned.evaluation is not None else ():
        log.info("%s", printable(line))
    if request.evaluation is not None and learned.evaluation is None:
        log.warning("there are too few labels to hold some out: how good the classifier is, is not known")


def _suggestions(options: TrainOptions) -> int:
    """The number of objects to suggest, 0 for none."""
    if options.suggest is None:
        if options.suggestions is not None:
            message = "--suggestions: is the table of --suggest N: give that, too"
            raise UsageError(message)
        return 0
    with suppress(ValueError):
        if 1 <= int(options.suggest) <= MAXIMUM_SUGGESTIONS:
            return int(options.suggest)
    message = (
        f"--suggest {options.suggest}: expected the number of objects to label next, 1 to {MAXIMUM_SUGGESTIONS} (--suggestions "
        "names their table; only with --pixels it is the name of an image)"
    )
    raise UsageError(message)


def _check_files(options: TrainOptions, request: "TrainingRequest") -> None:
    """Refuse files that cannot be written, before any work."""
    base = [request.project] if request.output is not None else []
    check_files(
        options,
        [*base, *given_files(options)],
        suggestions=request.suggestions if request.suggest else None,
        target=request.target,
        overwrite=options.overwrite,
    )


def _evaluation(options: TrainOptions) -> "EvaluationSettings | None":
    """How the classifier is judged; completely where a file shows it."""
    from objclass.evaluation.settings import EvaluationSettings

    shown = [name for name in ("report", "evaluation") if getattr(options, name) is not None]
    if not options.repeats:
        for name in (*shown, *({"folds", "group_by"} & options.given)):
            message = f"--{name}: is for a cross-validation, which --repeats 0 leaves out"
            raise UsageError(message)
        return None
    return EvaluationSettings(
        folds=options.folds,
        repeats=options.repeats,
        group_by=options.group_by or "",
        learning_curve=bool(shown),
        importances=bool(shown),
    )


def _check_of_objects(options: TrainOptions) -> None:
    """Refuse what is for pixels, and what the project that labels are added to has decided."""
    for field in fields(PixelTrainingOptions):
        if field.name in options.given:
            message = f"--{field.name}: is for training of pixels (--pixels)"
            raise UsageError(message)
    from objclass.pipeline.pairing import OBJECT_ROLES

    if options.output is None:
        is_given = options.manifest or any(getattr(options, role) for role in OBJECT_ROLES)
        if not is_given and not any(path.lower().endswith(".ilp") for path in options.labels or ()):
            roles = ", ".join(f"--{role}" for role in OBJECT_ROLES)
            message = f"training of objects needs one of {roles}; training of pixels needs --pixels"
            raise UsageError(message)
        return
    check_thresholds(options, needed=False, why=f"thresholds are stored in {options.project}")
    for name in ("features", "margin"):
        if name in options.given:
            message = f"--{name}: is stored in {options.project}"
            raise UsageError(message)
