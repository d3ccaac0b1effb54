"""Whether a project may be written."""

import os
from collections.abc import Sequence
from pathlib import Path

from objclass.errors import OutputError, UsageError
from objclass.export.atomic import check_writable


def check_target(target: str, inputs: Sequence[str], *, overwrite: bool, is_added: bool) -> None:
    """Refuse to write a project over an input, or where nothing can be written.

    Parameters
    ----------
    target
        The file to write.
    inputs
        The files that are read.
    overwrite
        Whether a project may be replaced.
    is_added
        Whether labels are added to another project.

    Raises
    ------
    ObjclassError
        If it cannot be written; the message says why in one line.
    """
    if Path(target).suffix.lower() != ".ilp":
        message = f"project {target}: expected a name that ends in .ilp"
        raise UsageError(message)
    if os.path.realpath(target) in {os.path.realpath(path) for path in inputs}:
        message = f"project {target} would overwrite an input: give another name"
        raise OutputError(message)
    if os.path.exists(target) and not overwrite:
        message = (
            f"project {target} exists already: --overwrite replaces it"
            f"{'' if is_added else ', --output NEW.ilp adds the labels to those that it has'}"
        )
        raise OutputError(message)
    check_writable(target)
