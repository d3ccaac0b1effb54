"""The files that training and evaluation write, besides a project: refused before any work."""

from collections.abc import Sequence

from objclass.cli.folds import FoldOptions


def check_files(
    options: FoldOptions,
    inputs: Sequence[str],
    *,
    suggestions: str | None,
    target: str | None = None,
    overwrite: bool,
) -> None:
    """Refuse files that cannot be written, are read, or are the same.

    Parameters
    ----------
    options
        Names of the report and of the evaluation.
    inputs
        Files that are read.
    suggestions, target
        The table of objects to label next, and the project that is written, if there is one.
    overwrite
        Whether files may be replaced.

    Raises
    ------
    UsageError, OutputError
        If one cannot be written; the message says why.
    """
    from objclass.evaluation.writing import check_evaluation, table_path
    from objclass.export.atomic import check_distinct
    from objclass.report.file import check_report
    from objclass.training.suggest_objects import check_suggestions

    if options.report is not None:
        check_report(options.report, inputs, overwrite=overwrite)
    if options.evaluation is not None:
        check_evaluation(options.evaluation, inputs, overwrite=overwrite)
    if suggestions is not None:
        check_suggestions(suggestions, inputs, overwrite=overwrite)
    table = table_path(options.evaluation) if options.evaluation is not None else None
    check_distinct(
        ("the project", target),
        ("--suggestions", suggestions),
        ("--report", options.report),
        ("--evaluation", options.evaluation),
        ("the table of --evaluation", table),
    )
