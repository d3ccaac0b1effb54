"""The file of a page: refused before any work, or written whole."""

from collections.abc import Iterable
from pathlib import Path

from objclass.export.atomic import Pending, check_output
from objclass.export.report import report_kind
from objclass.report.page import Page, rendered


def check_report(path: str, inputs: Iterable[str] = (), *, overwrite: bool = False) -> None:
    """Refuse a report that could not be written.

    Parameters
    ----------
    path
        The file to write.
    inputs
        Files that are read.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError
        If it has another suffix than ``.html``, or a library is missing.
    OutputError
        If there is such a file, it is an input, or it cannot be written.
    """
    report_kind(path)
    check_output(f"--report {path}", path, inputs, overwrite=overwrite)


def save_page(path: str, page: Page) -> None:
    """Render a page and write it; the file gets its name when it is complete."""
    content = rendered(page)
    pending = Pending()
    try:
        Path(pending.add(path)).write_bytes(content)
        pending.commit()
    finally:
        pending.discard()
