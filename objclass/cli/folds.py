"""Options of a cross-validation, for training and evaluation."""

from dataclasses import dataclass
from os.path import expanduser as expand_home
from typing import ClassVar, Optional

from objclass.settings import knob


@dataclass(frozen=True)
class FoldOptions:
    """Folds are judged by forests that are trained on the others. Objects of a group (an image) are in one fold."""

    group: ClassVar[str] = "cross-validation"

    folds: int = knob(5, "number of folds", minimum=2, maximum=1000)
    group_by: Optional[str] = knob(
        None,
        "image, region (parts of each image), time (stretches of it), or track, or the --group_column (default: "
        "image; of a single image track, time or region)",
        type=str,
        metavar="WHAT",
    )
    evaluation: Optional[str] = knob(
        None,
        "write all scores to this file as JSON, and the predictions to a table next to it (.csv)",
        metavar="FILE.json",
        type=expand_home,
    )
    report: Optional[str] = knob(
        None,
        "write a page (.html) of scores, curves and pictures of objects",
        metavar="FILE.html",
        type=expand_home,
    )
