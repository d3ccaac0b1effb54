"""All settings, each defined once: name, default, help, range. Command line, project and docs derive from them.

A field made with `knob` carries in its metadata what argparse needs (help, choices, number of values);
`check` raises for a value out of range. Standard library only.
"""

import json
import math
import operator
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Collection
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, ClassVar, Optional, Union

from objclass.errors import UsageError
from objclass.registry import output_format, output_formats
from objclass.shard import Shard, parse_shard

ROLES = ("raw_data", "segmentation_image", "prediction_maps", "label_image", "atlas", "prediction_mask")
"""What an image is in its lane: each role is an option of the command line, and a column of a manifest."""


def knob(
    default: Any,
    text: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    **metadata: Any,
) -> Any:
    """A dataclass field with its help text, its range and further metadata for argparse."""
    described = {"help": text, "minimum": minimum, "maximum": maximum, **metadata}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=described)
    return field(default=default, metadata=described)


def check(settings: Any) -> None:
    """Raise `UsageError` for the first value of a settings dataclass that is out of its range."""
    for knob_ in fields(settings):
        value, minimum, maximum = (
            getattr(settings, knob_.name),
            knob_.metadata.get("minimum"),
            knob_.metadata.get("maximum"),
        )
        if value is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            message = f"--{knob_.name} {value}: expected a finite number"
            raise UsageError(message)
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            expected = " and ".join(
                part
                for part in (
                    f"at least {minimum}" if minimum is not None else "",
                    f"at most {maximum}" if maximum is not None else "",
                )
                if part
            )
            message = f"--{knob_.name} {value}: expected {expected}"
            raise UsageError(message)


def default_of(settings: type[Any], name: str) -> Any:
    """The default of a knob."""
    return next(field_.default for field_ in fields(settings) if field_.name == name)


def help_of(field_: Field[Any]) -> str:
    """The help text of a knob, with its default."""
    text = str(field_.metadata["help"])
    if field_.default is None or field_.default is MISSING or isinstance(field_.default, bool):
        return text
    return f"{text} (default: {field_.default})"


MAXIMUM_SIGMA = 1000
METHODS = ("simple", "hysteresis", "ipht")
STORED_METHODS = (*METHODS, "graph cut")
"""Methods that a project can store; graph cut is not offered for new projects, since ilastik drops it."""


@dataclass(frozen=True)
class PhysicalSize:
    """An area or a volume, such as the smallest size of an object.

    Parameters
    ----------
    value
        The number.
    unit
        The unit of length, in any spelling.
    dims
        2 for an area, 3 for a volume.
    """

    value: float
    unit: str
    dims: int

    def __str__(self) -> str:
        return f"{self.value:.15g}{self.unit}{self.dims}"


ObjectSize = Union[int, PhysicalSize]
"""A number of pixels, or an area or volume."""


def parse_object_size(text: str) -> ObjectSize:
    """``"20"``, ``"20um2"``, ``"500 um^3"`` -> a number of pixels, or an area or volume."""
    with suppress(ValueError):
        return int(text)
    match = re.fullmatch(r"([0-9.]+(?:[eE][-+]?[0-9]+)?) ?([^\W\d_]+)\^?([23²³])", text.strip())
    value = math.nan
    with suppress(ValueError):
        value = float(match[1]) if match else value
    if match is None or not math.isfinite(value):
        message = f"'{text}': expected a whole number of pixels, or an area or volume such as 20um2 or 500um3"
        raise ArgumentTypeError(message)
    return PhysicalSize(value, match[2], 2 if match[3] in "2²" else 3)


@dataclass(frozen=True)
class ThresholdSettings:
    """Settings that turn prediction maps into objects (ilastik's "Threshold and Size Filter")."""

    group: ClassVar[str] = "thresholds"

    threshold: float = knob(0.5, "pixels of at least this value belong to objects")
    core_threshold: float = knob(0.8, "hysteresis: an object needs a pixel of at least this value")
    channel: int = knob(
        0,
        "channel that shows the objects: of the map; in a run also of a segmentation or label image with several",
        minimum=0,
    )
    core_channel: int = knob(0, "hysteresis: channel for the cores", minimum=0)
    smooth: float = knob(
        0.0,
        "Gaussian smoothing of the map before thresholding: sigma in pixels",
        minimum=0,
        maximum=MAXIMUM_SIGMA,
    )
    min_size: ObjectSize = knob(
        1,
        "remove objects of fewer pixels, or of a smaller area or volume, such as 20um2 or 500um3",
        minimum=0, type=parse_object_size, metavar="SIZE",
    )  # fmt: skip
    max_size: Optional[ObjectSize] = knob(
        None,
        "remove objects of more pixels, or of a larger area or volume (default: no limit)",
        minimum=0, type=parse_object_size, metavar="SIZE",
    )  # fmt: skip
    method: str = knob(
        "simple", "method of thresholding; ipht: identity-preserving hysteresis", choices=METHODS
    )

    def __post_init__(self) -> None:
        check(self)
        sizes = self.min_size, self.max_size
        if isinstance(sizes[0], int) and isinstance(sizes[1], int) and sizes[1] < sizes[0]:
            message = f"--min_size {self.min_size} is above --max_size {self.max_size}"
            raise UsageError(message)
        if self.method not in STORED_METHODS:
            message = f"--method {self.method}: expected one of {', '.join(METHODS)}"
            raise UsageError(message)

    def check_cores(self, given: Collection[str] = ()) -> None:
        """Refuse settings for cores that have no effect, or that every object fulfils.

        Settings stored in a project are not checked, since ilastik runs them too.

        Parameters
        ----------
        given
            Names of the settings that were given, whatever their values.

        Raises
        ------
        UsageError
            If an option is without effect; the message names it.
        """
        if self.method == "simple":
            for name in ("core_threshold", "core_channel"):
                if name in given or getattr(self, name) != default_of(ThresholdSettings, name):
                    message = f"--{name}: only --method hysteresis and ipht look for cores"
                    raise UsageError(message)
        elif self.core_channel == self.channel and self.core_threshold < self.threshold:
            message = (
                f"--core_threshold {self.core_threshold:g} is below --threshold {self.threshold:g}: cores are "
                "the pixels of the highest values"
            )
            raise UsageError(message)

    @property
    def physical_sizes(self) -> dict[str, PhysicalSize]:
        """The limits that are areas or volumes, by the name of the setting."""
        limits = {"min_size": self.min_size, "max_size": self.max_size}
        return {name: limit for name, limit in limits.items() if isinstance(limit, PhysicalSize)}

    @property
    def limits(self) -> tuple[int, float]:
        """Smallest and largest number of pixels of an object; infinite where there is no limit."""
        largest = math.inf if self.max_size is None else self.max_size
        if isinstance(self.min_size, PhysicalSize) or isinstance(largest, PhysicalSize):
            message = f"sizes {self.min_size} to {largest}: expected numbers of pixels"
            raise TypeError(message)
        return self.min_size, largest

    rescaled = False
    """Whether maps are first rescaled from their possible range to 0 … 1."""

    @property
    def sigma_xyz(self) -> tuple[float, float, float]:
        """Smoothing along x, y, z."""
        return (self.smooth, self.smooth, self.smooth)


@dataclass(frozen=True)
class ProjectThreshold(ThresholdSettings):
    """The settings as a project stores them: maps are rescaled to 0 … 1, each axis has its own sigma."""

    sigmas: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Smoothing along x, y, z."""

    rescaled = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= sigma <= MAXIMUM_SIGMA for sigma in self.sigmas):
            message = f"smoothing sigmas {self.sigmas}: expected 0 to {MAXIMUM_SIGMA}"
            raise UsageError(message)

    @property
    def sigma_xyz(self) -> tuple[float, float, float]:
        """Smoothing along x, y, z."""
        return self.sigmas


DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


def parse_format(text: str) -> str:
    """The name of an output format."""
    if output_format(text) is None:
        known = ", ".join(entry.name for entry in output_formats(plugins=True))
        message = f"'{text}': expected one of {known}"
        raise ArgumentTypeError(message)
    return text


def parse_range(text: str) -> tuple[float, float]:
    """``"(0.0, 1.0)"`` -> two numbers."""
    try:
        low, high = (float(part) for part in text.strip(" ()[]").split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        message = f"'{text}': expected two numbers, as in \"(0.0, 1.0)\""
        raise ArgumentTypeError(message)
    return low, high


def parse_subregion(text: str) -> tuple[tuple[Optional[int], ...], tuple[Optional[int], ...]]:
    """``"[(0,0,0,0,0), (1,100,200,20,3)]"`` -> start and stop, None where a bound is open."""
    try:
        start, stop = json.loads(text.replace("(", "[").replace(")", "]").replace("None", "null"))
        bounds = [tuple(None if n is None else operator.index(n) for n in bound) for bound in (start, stop)]
    except (ValueError, TypeError, RecursionError):
        message = f"'{text}': expected \"[(start, …), (stop, …)]\" of whole numbers"
        raise ArgumentTypeError(message) from None
    if len(bounds[0]) != len(bounds[1]):
        message = f"'{text}': start and stop differ in length"
        raise ArgumentTypeError(message)
    return bounds[0], bounds[1]


@dataclass(frozen=True)
class ExportSettings:
    """How result images are written; a project may have other defaults."""

    group: ClassVar[str] = "images out"

    output_format: Optional[str] = knob(
        None,
        "format of the images (default: compressed hdf5): "
        f"{', '.join(entry.name for entry in output_formats() if not entry.part)}; '<format> sequence' for a "
        "file for each slice",
        type=parse_format,
        metavar="FORMAT",
    )
    output_filename_format: Optional[str] = knob(
        None,
        "path of the images, with {dataset_dir} {nickname} {result_type} {roi} {x_start} {x_stop} …, and "
        "{slice_index} for sequences; the nickname of a lane is the name of its raw image without folder and "
        "suffix (default: {dataset_dir}/{nickname}_{result_type})",
        metavar="PATH",
    )
    output_internal_path: Optional[str] = knob(
        None,
        "name of the dataset in HDF5 and N5, such as volume/{nickname} (default: exported_data)",
        metavar="NAME",
    )
    cutout_subregion: Optional[tuple[Any, Any]] = knob(
        None,
        'write only this part: "[(start), (stop)]", in the order t,x,y,z,c or in that of the axes of the output; None: to the end',
        type=parse_subregion,
        metavar="REGION",
    )
    export_dtype: Optional[str] = knob(
        None, "type of the pixels; values that do not fit wrap around, fractions are cut off", choices=DTYPES
    )
    output_axis_order: Optional[str] = knob(
        None, "axes of the images, such as tzyxc (default: those of the input)", metavar="AXES"
    )
    pipeline_result_drange: Optional[tuple[float, float]] = knob(
        None,
        'range of the results, such as "(0.0, 1.0)", which --export_drange rescales',
        type=parse_range,
        metavar="RANGE",
    )
    export_drange: Optional[tuple[float, float]] = knob(
        None,
        'rescale --pipeline_result_drange to this range, such as "(0, 255)"',
        type=parse_range,
        metavar="RANGE",
    )

    def __post_init__(self) -> None:
        if self.export_drange is not None and self.pipeline_result_drange is None:
            message = "--export_drange needs --pipeline_result_drange: from which range?"
            raise UsageError(message)
        order = self.output_axis_order
        if order is not None:
            letters = order.lower()
            if not letters or set(letters) - set("tzyxc") or len(set(letters)) != len(letters):
                message = f"--output_axis_order '{order}': expected letters of txyzc, each once"
                raise UsageError(message)

    def over(self, defaults: "ExportSettings") -> "ExportSettings":
        """These settings where they have a value, else ``defaults``."""
        own = {f.name: getattr(self, f.name) for f in fields(ExportSettings)}
        return replace(defaults, **{k: v for k, v in own.items() if v is not None})


EXPORT_DEFAULTS = ExportSettings(
    output_format="compressed hdf5",
    output_filename_format="{dataset_dir}/{nickname}_{result_type}",
    output_internal_path="exported_data",
)

CLASS_WEIGHTS = ("balanced",)
"""Names of the weights of classes in training; by default each object counts the same."""

MINIMUM_MEMORY = 400_000_000
"""Bytes that the program itself needs, and some to work with."""

SIZES = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for unit, base in (("", 1000), ("B", 1000), ("iB", 1024))
}


def parse_size(text: str) -> int:
    """``"1GB"``, ``"500 MB"``, ``"2GiB"`` -> bytes."""
    match = re.fullmatch(r"([0-9.]+) ?([KMGT]?i?B?)", text.strip(), re.IGNORECASE)
    unit = match[2].upper().replace("I", "i") if match else "?"
    try:
        size = int(float(match[1]) * SIZES[unit]) if match else -1
    except (ValueError, KeyError):
        size = -1
    if size < MINIMUM_MEMORY:
        message = f"'{text}': expected a size of at least {MINIMUM_MEMORY // 10**6}MB, such as 4GB"
        raise ArgumentTypeError(message)
    return size


def parse_block(text: str) -> tuple[int, int]:
    """``"256"`` or ``"z=32,y=64,x=64"`` -> planes and rows of a block (x is always whole)."""
    match = re.fullmatch(r"(\d+)|z=(\d+),y=(\d+)(?:,x=(\d+))?", text.replace(" ", ""))
    sides = [int(side) for side in match.groups() if side is not None] if match else []
    if not sides or min(sides) < 1:
        message = f"'{text}': expected a number of pixels, or z=32,y=64,x=64"
        raise ArgumentTypeError(message)
    return sides[0], sides[min(1, len(sides) - 1)]


@dataclass(frozen=True)
class ResourceSettings:
    """How much of the machine is used. Results do not depend on it."""

    group: ClassVar[str] = "resources"

    jobs: Optional[int] = knob(
        None,
        "number of threads (default: LAZYFLOW_THREADS, else the cores that this process may use)",
        minimum=1,
        maximum=1024,
        metavar="N",
    )
    max_memory: Optional[int] = knob(
        None,
        "use about this much memory, such as 4GB (default: LAZYFLOW_TOTAL_RAM_MB, else half of the free memory); "
        "larger images are processed in blocks",
        type=parse_size,
        metavar="SIZE",
    )
    block_shape: Optional[tuple[int, int]] = knob(
        None,
        "size of the blocks, 256 or z=32,y=64,x=64 (default: chosen by memory); rows are never cut, "
        "planes only where a block has fewer rows",
        type=parse_block,
        metavar="SHAPE",
    )

    def __post_init__(self) -> None:
        check(self)


ENGINES = ("threads", "dask")


@dataclass(frozen=True)
class EngineSettings:
    """What runs the lanes: threads of this process, or processes of this machine or of a cluster."""

    group: ClassVar[str] = "engine"

    engine: str = knob(
        "threads",
        "what runs the lanes: threads of this process; dask: the workers of a cluster of Dask, without a scheduler --jobs "
        "processes of this machine. Outputs are the same",
        choices=ENGINES,
    )
    scheduler: Optional[str] = knob(
        None,
        "with --engine dask: the scheduler of the cluster, such as tcp://host:8786",
        metavar="ADDRESS",
        type=str,
    )
    scheduler_file: Optional[str] = knob(
        None,
        "with --engine dask: the file in which the scheduler has written its address",
        metavar="FILE",
        type=os.path.expanduser,
    )

    def __post_init__(self) -> None:
        given = [name for name in ("scheduler", "scheduler_file") if getattr(self, name) is not None]
        if given and self.engine != "dask":
            message = f"--{given[0]}: is the scheduler of a cluster: give --engine dask, too"
            raise UsageError(message)
        if len(given) > 1:
            message = "--scheduler and --scheduler_file: expected one of them"
            raise UsageError(message)


DIGESTS = ("none", "header", "content")


@dataclass(frozen=True)
class BatchSettings:
    """What happens to the lanes of a batch."""

    group: ClassVar[str] = "batch"

    dry_run: bool = knob(
        False,
        "read headers only, write nothing: print what belongs together, axes, names of outputs, the tasks with what each reads, and what "
        "memory, disk and time the run takes; name all faults of all lanes",
    )
    json: bool = knob(False, "with --dry_run: print it as JSON")
    on_error: str = knob(
        "stop", "when a lane fails: stop, or continue with the others", choices=("stop", "continue")
    )
    resume: bool = knob(
        False,
        "skip the lanes that an earlier run in the same folder has completed, with the same inputs, project, options "
        "and version of objclass (by size and time of change), and whose outputs are unchanged",
    )
    verify: bool = knob(
        False, "with --resume: compare by content; needs an earlier run with --digest content"
    )
    shard: Optional[Shard] = knob(
        None,
        "do one of several equal parts of the lanes, such as 1/4, in a job of its own; auto: that of the array job (Slurm, Grid "
        "Engine, LSF); `objclass merge` joins the parts of tables, summary, report and run file",
        type=parse_shard,
        metavar="I/N",
    )
    digest: str = knob(
        "header",
        "digests of files in the run file: of their first 64 KiB, or of their content, for which they are read once more",
        choices=DIGESTS,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.json and not self.dry_run:
            message = "--json: prints what --dry_run finds: give that, too"
            raise UsageError(message)
        if self.verify and not self.resume:
            message = "--verify: compares what --resume finds: give that, too"
            raise UsageError(message)
