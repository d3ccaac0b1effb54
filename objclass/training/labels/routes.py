"""Files of labels of any kind, by their suffixes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from objclass.errors import InputError
from objclass.registry import label_format, resolve
from objclass.training.labels.annotation import Annotation, Reading
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.labels import Labels
from objclass.training.labels.painted import open_painted, painted_lanes
from objclass.training.labels.projects import LabelledLane, read_labels_of
from objclass.training.labels.rows import REMEDY

SPREADSHEETS = (".xls", ".xlsm", ".xlsb", ".ods")
"""Suffixes of spreadsheets that are not read."""


@dataclass(frozen=True)
class LabelFiles:
    """The files of labels, by their kind.

    Parameters
    ----------
    files
        Those of the formats of the registry.
    projects
        Projects (.ilp).
    painted
        Painted images: all others.
    """

    files: Sequence[str]
    projects: Sequence[str]
    painted: Sequence[str]

    @classmethod
    def of(cls, paths: Sequence[str]) -> "LabelFiles":
        """The files of these names.

        Raises
        ------
        InputError
            If a file is of a kind that is not read.
        """
        files: dict[str, list[str]] = {"files": [], "projects": [], "painted": []}
        for path in paths:
            suffix = Path(path).suffix.lower()
            if suffix in SPREADSHEETS:
                message = f"labels {path} are a spreadsheet of another kind than .xlsx: {REMEDY}"
                raise InputError(message)
            if suffix == ".ilp":
                files["projects"].append(path)
            elif label_format(path) and not path.lower().endswith(".zarr.zip"):
                files["files"].append(path)
            else:
                files["painted"].append(path)
        return cls(**files)


def read_labels(
    files: LabelFiles,
    given: GivenLanes,
    places: Sequence[int],
    sources: Sequence[tuple[LabelledLane, int]] = (),
    stack_along: str = "z",
) -> Labels:
    """Read all files of labels, but not yet the pixels of painted images.

    Parameters
    ----------
    files
        The files.
    given
        The lanes that they are for.
    places
        The number of each given lane, in the order in which they were given.
    sources
        The labelled lanes of the projects among the files, each with its number here.
    stack_along
        The axis along which the files of a painted stack are stacked.

    Raises
    ------
    ObjclassError
        If a file cannot be used.
    """
    formats = [(path, label_format(path)) for path in files.files]
    readings: list[Reading] = [resolve(found.reader)(path, given) for path, found in formats if found]
    readings.append(read_labels_of(sources, given))
    painted = {
        lane: open_painted(path, given.lanes[lane], stack_along, given.context)
        for lane, path in painted_lanes(files.painted, places, given).items()
    }
    by_step: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for annotation in chain.from_iterable(reading.annotations for reading in readings):
        by_step[annotation.lane, annotation.t].append(annotation)
    return Labels(
        given,
        dict(by_step),
        painted,
        [line for reading in readings for line in reading.left_out],
        bool(painted) or any(reading.is_numbered for reading in readings),
    )
