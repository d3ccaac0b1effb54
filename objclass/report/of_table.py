"""The report of a table of measurements that was judged by cross-validation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from objclass.evaluation.result import Evaluation
from objclass.project.model import class_colors
from objclass.report.file import save_page
from objclass.report.of_evaluation import Subject, method_facts, page_of
from objclass.report.pictures import Crops


def save_table_report(path: str, found: Evaluation, table: str, columns: Sequence[str]) -> None:
    """Write the page of an evaluation of a table; it has no pictures.

    Parameters
    ----------
    path
        The file.
    found
        An evaluation.
    table
        The file of the table.
    columns
        Names of the columns that the classifiers learnt from.
    """
    name = Path(table).name
    subject = Subject(
        f"How well do the columns of {name} tell classes apart?",
        tuple(_facts(found, name, columns)),
        class_colors((), len(found.names)),
    )
    save_page(path, page_of(found, subject, {}, Crops()))


def _facts(found: Evaluation, name: str, columns: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    yield "table", (name,)
    yield from method_facts(found)
    yield "columns", columns
