"""Whether a project may be written."""

from collections.abc import Sequence
from pathlib import Path

from objclass.errors import UsageError
from objclass.export.atomic import check_output


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
    remedy = "" if is_added else ", --output NEW.ilp adds the labels to those that it has"
    check_output(f"project {target}", target, inputs, overwrite=overwrite, remedy=remedy)
