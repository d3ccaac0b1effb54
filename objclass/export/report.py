"""What the report of a run needs to know: of the run, and of each lane, however many objects there are.

The findings of a lane are one row of text, so that a report collects them as a table that lanes share.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.util import find_spec
from tempfile import gettempdir
from typing import Any

import numpy as np

from objclass.errors import UsageError, listed
from objclass.export.columns import Columns
from objclass.pipeline.crops import Crop
from objclass.project.model import Color
from objclass.registry import REPORTS, ReportFormat, report_format

TYPICAL, UNCERTAIN, NOVEL = "typical", "uncertain", "novel"
"""Why an object is shown: it is one of the most probable of its class, of the most uncertain, of those least like the training."""

BINS = 20
"""Bins of a histogram from 0 to `UPPER`."""

UPPER = {"uncertainty": 1, "novelty": 2}
"""Where the histogram of a measure ends; higher values are in its last bin."""

COLUMN = "findings"
"""The only column of the rows of lanes."""


def report_kind(path: str) -> ReportFormat:
    """The kind of report of a path.

    Raises
    ------
    UsageError
        If its suffix is not that of a report, or a library is not installed, or finds no folder for its own files.
    """
    found = report_format(path)
    if found is None:
        message = (
            f"--report {path}: expected a name that ends in {', '.join(entry.suffix for entry in REPORTS)}"
        )
        raise UsageError(message)
    missing = [name for name in found.libraries if find_spec(name) is None]
    if missing:
        message = f'--report {path}: is made with {listed(missing)}, which is not installed: pip install "objclass[{found.extra}]"'
        raise UsageError(message)
    try:
        gettempdir()
    except FileNotFoundError:  # no folder can be written, which matplotlib may refuse when the work is done
        _try_import(found.libraries, path)
    return found


def _try_import(libraries: Sequence[str], path: str) -> None:
    for name in libraries:
        try:
            import_module(name)
        except OSError as fault:
            message = f"--report {path}: {name}: {fault}; or set TMPDIR to one"
            raise UsageError(message) from fault


@dataclass(frozen=True)
class Report:
    """The report of a run; the same for all of its lanes.

    Parameters
    ----------
    path
        The file.
    project
        Name of the file of the project; ``""`` for none.
    lanes
        Names of all lanes, in order.
    classes, colors
        Names and colours of the classes; one without a name where objects are not classified.
    trained_on
        Number of images that novelty comes from.
    examples
        Number of objects that a lane shows of each class and kind, at most.
    facts
        Where the results come from: name and lines; nothing that differs between two runs with the same results.
    failed
        Name of each lane that failed so far, and why. The run adds to it.
    """

    path: str
    project: str
    lanes: tuple[str, ...]
    classes: tuple[str, ...]
    colors: tuple[Color, ...]
    trained_on: int
    examples: int
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    failed: dict[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Example:
    """An object to look at.

    Parameters
    ----------
    kind, group
        Why it is shown, and the place of its class.
    score, order
        The highest scores are shown; of equal ones those of the lowest order.
    frame, label
        Its time step and id.
    center
        Its centre x, y(, z) in pixels.
    values
        Probability, uncertainty and novelty, as far as known.
    original
        Its id in the label image that was given; None where there is none.
    picture
        The raw data around it, and where it is; read only of examples that are shown.
    is_color
        Whether the channels of its picture are red, green and blue.
    """

    kind: str
    group: int
    score: float
    order: int
    frame: int
    label: int
    center: tuple[float, ...]
    values: Mapping[str, float]
    original: int | None = None
    picture: str = ""
    is_color: bool = False

    @property
    def rank(self) -> tuple[float, int, int, int]:
        """What sorts examples, the best one first."""
        return -self.score, self.order, self.frame, self.label

    @property
    def crop(self) -> Crop:
        """Its picture."""
        height, width, channels, data = self.picture.split(" ")
        shape = int(height), int(width), int(channels) + 1
        pixels = np.frombuffer(zlib.decompress(b64decode(data)), np.uint8).reshape(shape)
        return Crop(pixels[..., :-1], pixels[..., -1].astype(bool))


def as_text(crop: Crop) -> str:
    """A picture of 8 bits as text, which an `Example` holds."""
    pixels = np.concatenate([crop.raw, crop.mask[..., None]], axis=2, dtype=np.uint8)
    height, width, channels = crop.raw.shape
    return f"{height} {width} {channels} {b64encode(zlib.compress(pixels.tobytes(), 1)).decode()}"


@dataclass(frozen=True)
class Spread:
    """How a measure is spread over the objects of a class: counts in `BINS` bins, and the sum of all values."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True)
class Findings:
    """What was found in a lane.

    Parameters
    ----------
    image
        Its name.
    inputs
        The images that it consists of: role and name.
    metadata
        Its columns of metadata.
    counts
        Number of objects of each time step and class.
    pixels
        Number of pixels of the objects of each class.
    spreads
        Measure -> how it is spread over each class; without those that are not known.
    novel
        Number of novel objects of each class; empty where it is not known.
    examples
        Objects to look at.
    """

    image: str
    inputs: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    counts: tuple[tuple[int, ...], ...]
    pixels: tuple[int, ...]
    spreads: Mapping[str, tuple[Spread, ...]] = field(default_factory=dict)
    novel: tuple[int, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def columns(self) -> Columns:
        """As a row of a table that lanes share."""
        return {COLUMN: np.array([json.dumps(asdict(self))], dtype=object)}


def findings_of(text: str) -> Findings:
    """The findings of a row."""
    record = json.loads(text)
    return Findings(
        record["image"],
        tuple(map(tuple, record["inputs"])),
        tuple(map(tuple, record["metadata"])),
        tuple(map(tuple, record["counts"])),
        tuple(record["pixels"]),
        {measure: tuple(map(_spread, of_classes)) for measure, of_classes in record["spreads"].items()},
        tuple(record["novel"]),
        tuple(Example(**example | {"center": tuple(example["center"])}) for example in record["examples"]),
    )


def _spread(record: Mapping[str, Any]) -> Spread:
    return Spread(tuple(record["counts"]), record["total"])
