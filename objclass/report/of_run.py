"""The report of a run: collected lane by lane, drawn at its end."""

from pathlib import Path
from typing import BinaryIO

from objclass.export.columns import Columns
from objclass.export.report import COLUMN, Report, findings_of
from objclass.report.page import rendered
from objclass.report.run_page import Run, page_of


class RunReport:
    """The report of a run; lanes are added in their order.

    Parameters
    ----------
    path
        Its temporary file.
    report
        What is known of the run.
    """

    def __init__(self, path: str, report: Report) -> None:
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        self._run = Run(report)

    def append(self, columns: Columns) -> None:
        """Add the findings of lanes."""
        for text in columns[COLUMN].tolist():
            self._run.add(findings_of(text))

    def close(self) -> None:
        """Draw the page."""
        self._file.write(rendered(page_of(self._run)))
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        self._file.close()
