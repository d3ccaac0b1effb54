"""``objclass evaluate``: how good a classifier is."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os.path import expanduser as expand_home
from typing import TYPE_CHECKING, ClassVar, Optional

from objclass.cli import Parser
from objclass.cli.environment import resources
from objclass.cli.folds import FoldOptions
from objclass.cli.inputs import InputOptions, given_files, read_inputs, read_pixel_size, with_lanes
from objclass.cli.messages import MessageOptions, printable, set_up_log
from objclass.cli.outputs import check_files
from objclass.cli.progress import reported
from objclass.cli.suggestions import MAXIMUM_SUGGESTIONS, suggestions_beside
from objclass.errors import Stop, UsageError, listed
from objclass.settings import CLASS_WEIGHTS, ROLES, ResourceSettings, knob

if TYPE_CHECKING:
    from objclass.compute.context import Context
    from objclass.evaluation.result import Evaluation
    from objclass.evaluation.settings import EvaluationSettings
    from objclass.project.model import Project
    from objclass.training.judge import JudgedImages

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class SubjectOptions:
    """A project is judged by its own labels (cross-validation), or by labels of other images, which its forest has not
    seen. The rows of a table are judged by cross-validation.
    """

    group: ClassVar[str] = "what is judged"

    project: Optional[str] = knob(None, "the project (.ilp)", metavar="P.ilp", type=expand_home)
    labels: Optional[list[str]] = knob(
        None,
        "labels of the images that are given, in any of the forms that training takes",
        nargs="+",
        type=expand_home,
        metavar="LABELS",
    )
    allow_misses: bool = knob(
        False,
        "accept labels of which more than a third lie on background, and labels of images that are not given",
    )
    table: Optional[str] = knob(
        None,
        "a table with a row for each object, measured by any program: .csv, .tsv, .parquet or .xlsx",
        metavar="TABLE",
        type=expand_home,
    )
    class_column: str = knob("class", "its column with the class of an object", type=str, metavar="NAME")
    group_column: Optional[str] = knob(
        None,
        "its column with what is held out together, such as image, slide or patient (default: the image, if there is such "
        "a column)",
        type=str,
        metavar="NAME",
    )
    features: Optional[list[str]] = knob(
        None,
        "its columns to learn from (default: all numbers, without ids, positions and probabilities)",
        nargs="+",
        type=str,
        metavar="NAME",
    )


@dataclass(frozen=True)
class CrossValidationOptions(FoldOptions):
    """Folds are judged by forests that are trained on the others. Objects of a group (an image) are in one fold."""

    group: ClassVar[str] = "cross-validation"

    repeats: int = knob(
        5, "how many times folds are drawn; scores are means over them", minimum=1, maximum=1000
    )
    seed: Optional[int] = knob(
        None,
        "random state of folds and forests (default: that of the training, else 0)",
        minimum=0,
        maximum=2**32 - 1,
    )
    trees: Optional[int] = knob(
        None, "number of trees (default: that of the project, else 100)", minimum=1, maximum=100000
    )
    class_weight: Optional[str] = knob(
        None,
        "balanced: objects of rare classes count more, so that each class counts the same (default: as in the training)",
        choices=CLASS_WEIGHTS,
    )
    suggest: Optional[int] = knob(
        None,
        "write a table of so many objects of the project's images to label next, which are uncertain and unlike each other, and "
        "which training takes as --labels once classes are filled in",
        minimum=1, maximum=MAXIMUM_SUGGESTIONS, type=int, metavar="N",
    )  # fmt: skip
    suggestions: Optional[str] = knob(
        None,
        "the table of --suggest (default: PROJECT_suggestions.csv beside the project)",
        type=expand_home, metavar="FILE.csv",
    )  # fmt: skip
    overwrite: bool = knob(False, "replace existing files")


@dataclass(frozen=True)
class EvaluateOptions(InputOptions, SubjectOptions, CrossValidationOptions, ResourceSettings, MessageOptions):
    """All options of an evaluation."""

    @property
    def suggested(self) -> str | None:
        """The table of objects to label next, if it is asked for."""
        if self.suggest is None or self.project is None:
            return None
        return self.suggestions or suggestions_beside(self.project)


Draw = Callable[[str, "Context"], None]
"""A function that writes the report of an evaluation to a file."""


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Print how good a classifier is to stdout."""
    options = _parsed(arguments)
    set_up_log(options)
    _check(options)
    files = [path for path in (options.project, options.table) if path is not None]
    check_files(
        options, [*files, *given_files(options)], suggestions=options.suggested, overwrite=options.overwrite
    )
    from objclass.compute.context import Context

    with reported(max(len(options.raw_data or ()), 1), quiet=options.quiet) as progress:
        context = Context.of(
            resources(options), progress=progress, stop=stop, follow_links=options.follow_links
        )
        evaluation, draw = _of_table(options, context) if options.table else _of_project(options, context)
        if options.suggested is not None:
            _suggest(options, options.suggested, context)
    _say(options, evaluation)
    if options.report is not None:  # last: whatever happens to it, the scores are there
        with reported(max(len(options.raw_data or ()), 1), quiet=options.quiet) as progress:
            draw(options.report, replace(context, progress=progress))
    return 0


def _parsed(arguments: Sequence[str]) -> EvaluateOptions:
    usage = (
        "objclass evaluate --project P.ilp [options]\n"
        "       objclass evaluate --project P.ilp --raw_data IMAGE … --segmentation_image IMAGE … --labels … [options]\n"
        "       objclass evaluate --table T.csv --class_column class [options]"
    )
    parser = Parser(EvaluateOptions, "objclass evaluate", "Say how good a classifier is.", usage)
    options: EvaluateOptions = parser.parse_args(list(arguments))
    return options


def _say(options: EvaluateOptions, evaluation: "Evaluation") -> None:
    """Write the scores, and print them."""
    from objclass.evaluation.summary import summary_lines
    from objclass.evaluation.writing import table_path, write_evaluation

    if options.evaluation is not None:
        write_evaluation(evaluation, options.evaluation)
    sys.stdout.write("".join(f"{printable(line)}\n" for line in summary_lines(evaluation)))
    sys.stdout.flush()
    if options.evaluation is not None:
        log.info("outputs: %s and %s", options.evaluation, table_path(options.evaluation))


def _check(options: EvaluateOptions) -> None:
    """Refuse options that do not belong together."""
    if (options.project is None) == (options.table is None):
        message = "evaluate needs --project P.ilp or --table T.csv, one of them (objclass evaluate --help)"
        raise UsageError(message)
    images = [name for name in (*ROLES, "manifest") if getattr(options, name)]
    if options.suggestions is not None and options.suggest is None:
        message = "--suggestions: is the table of --suggest N: give that, too"
        raise UsageError(message)
    if options.table is not None:
        names = ["labels", "allow_misses", "suggest", *images]
        _refuse(options, names, "is for the images of a --project")
        return
    _refuse(options, ["class_column", "group_column", "features"], "is for a --table")
    if images and not options.labels:
        message = f"--{images[0]}: expected --labels of these images, too; without both, the project's own labels count"
        raise UsageError(message)
    if options.labels:
        why = "is for a cross-validation: here the forest of the project is judged"
        _refuse(options, ["folds", "repeats", "seed", "trees", "class_weight"], why)


def _suggest(options: EvaluateOptions, path: str, context: "Context") -> None:
    """Write the objects of the project's images to label next."""
    from objclass.project.open import open_project
    from objclass.training.judge import with_own_novelty
    from objclass.training.suggest_objects import suggestions_of, write_suggestions

    project = with_own_novelty(open_project(str(options.project)), context)
    found, lanes = suggestions_of(project, options.suggest or 0, context)
    if not found:
        log.warning("--suggest: all objects of its images have labels: nothing is written")
        return
    write_suggestions(path, found, lanes, project)
    log.info("%s: %d objects to label next", path, len(found))


def _refuse(options: EvaluateOptions, names: Sequence[str], why: str) -> None:
    for name in names:
        if name in options.given:
            message = f"--{name}: {why}"
            raise UsageError(message)


def _settings(options: EvaluateOptions) -> "EvaluationSettings":
    from objclass.evaluation.settings import EvaluationSettings

    return EvaluationSettings(
        options.trees or EvaluationSettings.trees,
        options.seed or 0,
        options.class_weight == "balanced",
        options.folds,
        options.repeats,
        options.group_by or "",
        learning_curve=True,
        importances=True,
    )


def _of_project(options: EvaluateOptions, context: "Context") -> "tuple[Evaluation, Draw]":
    """The evaluation of a project, and the function that draws its report."""
    from objclass.project.open import open_project
    from objclass.training.judge import evaluate_on_images, evaluate_project, grown_like
    from objclass.training.request import TrainingRequest

    project = open_project(str(options.project))
    like = grown_like(project, _settings(options), options.seed)
    settings = replace(
        like,
        trees=options.trees or like.trees,
        balanced=like.balanced if options.class_weight is None else options.class_weight == "balanced",
    )
    if not options.labels:
        evaluation = evaluate_project(project, settings, context)
        return evaluation, _draw(evaluation, project)
    request = TrainingRequest(
        "",
        with_lanes(options, read_inputs(options)),
        options.labels,
        allow_misses=options.allow_misses,
        pixel_size=read_pixel_size(options.pixel_size),
    )
    found, judged = evaluate_on_images(project, request, settings, context)
    return found, _draw(found, project, judged)


def _draw(found: "Evaluation", project: "Project", judged: "JudgedImages | None" = None) -> Draw:
    def draw(path: str, context: "Context") -> None:
        from objclass.report.of_project import save_report

        save_report(path, found, project, context, judged)

    return draw


def _of_table(options: EvaluateOptions, context: "Context") -> "tuple[Evaluation, Draw]":
    """The evaluation of a table, and the function that draws its report."""
    from objclass.evaluation.cross_validation import evaluate
    from objclass.evaluation.measurements import grouping_by, read_measurements

    found = read_measurements(
        str(options.table), options.class_column, options.group_column, options.features or ()
    )
    for kind, names in found.left_out.items():
        log.info("not learnt from: %s: %s", kind, listed(names, 12))
    log.info("learnt from: %s", listed(found.table.columns, 12))
    if found.unlabelled:
        log.warning("%d rows have no class: they are left out", found.unlabelled)
    if found.missing:
        log.warning("%d values are missing or not finite: 0 is taken for them", found.missing)
    settings = _settings(options)
    if options.group_column is not None and not settings.group_by:
        settings = replace(settings, group_by=grouping_by(options.group_column))
    evaluation = evaluate(found.table, settings, context)

    def draw(path: str, _: "Context") -> None:
        from objclass.report.of_table import save_table_report

        save_table_report(path, evaluation, str(options.table), found.table.columns)

    return evaluation, draw
