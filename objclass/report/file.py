"""The file of a page: refused before any work, or written whole."""

import os
from pathlib import Path

from objclass.errors import OutputError
from objclass.export.atomic import Pending, check_writable
from objclass.export.report import report_kind
from objclass.report.page import Page, rendered


def check_report(path: str, *, overwrite: bool = False) -> None:
    """Refuse a report that could not be written.

    Parameters
    ----------
    path
        The file to write.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError
        If it has another suffix than ``.html``, or a library is missing.
    OutputError
        If there is such a file, or it cannot be written.
    """
    report_kind(path)
    if os.path.exists(path) and not overwrite:
        message = f"--report {path} exists already: --overwrite replaces it"
        raise OutputError(message)
    check_writable(path)


def save_page(path: str, page: Page) -> None:
    """Render a page and write it; the file gets its name when it is complete."""
    content = rendered(page)
    pending = Pending()
    try:
        Path(pending.add(path)).write_bytes(content)
        pending.commit()
    finally:
        pending.discard()
