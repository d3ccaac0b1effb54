"""The nouns: image, lane, objects, table of features, predictions."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from math import isclose
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from objclass.errors import ImageError, UsageError

AXES = "tzyxc"
"""The order of axes everywhere inside: time, z, y, x, channel."""

COMPUTED_AXES = "the raw data"
"""Where the axes of an image come from that is computed from raw data."""

TRAINING_AXES = "the training lane"
"""Where the axes of an image come from, if from the project."""

Region = tuple[slice, slice, slice, slice, slice]
"""A part of an image, one slice with integer bounds for each of `AXES`."""

AnyArray = NDArray[Any]

FloatArray = AnyArray
"""float64 where nothing else is said; numpy's stubs cannot follow arithmetic any closer."""

IntArray = AnyArray


UNITS = {
    "um": "um", "µm": "um", "μm": "um", "micron": "um", "nm": "nm", "mm": "mm", "cm": "cm", "m": "m",
    "px": "", "pixel": "", "": "",
}  # fmt: skip
"""Accepted spelling of a unit -> its spelling in files."""

MICROMETRES = {"pm": 1e-6, "angstrom": 1e-4, "nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
"""Unit of length -> micrometres."""

ROUNDING = 1e-4
"""Relative difference of two pixel sizes that are taken as equal, since formats round them."""


@dataclass(frozen=True)
class PixelSize:
    """Extent of a pixel along x, y, z, and its unit (``""`` if unknown)."""

    x: float = 1.0
    y: float = 1.0
    z: float = 1.0
    unit: str = ""
    has_z: bool = field(default=True, compare=False, repr=False)
    """False where only x and y were given: enough for planes."""

    def __post_init__(self) -> None:
        if not all(np.isfinite(v) and v > 0 for v in (self.x, self.y, self.z)):
            message = f"pixel size x={self.x}, y={self.y}, z={self.z}: expected positive numbers"
            raise ImageError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pixel size that a text gives, one for all axes or one for each.

        Raises
        ------
        UsageError
            If it is none.

        Examples
        --------
        >>> PixelSize.parse("0.65um"), PixelSize.parse("z=2,y=0.5,x=0.5nm")
        (PixelSize(x=0.65, y=0.65, z=0.65, unit='um'), PixelSize(x=0.5, y=0.5, z=2.0, unit='nm'))
        """
        number = r"[0-9.]+(?:[eE][-+]?[0-9]+)?"
        whole = re.fullmatch(rf"({number})\s*([^\d\s]*)", text.strip())
        parts = re.fullmatch(rf"([xyz]={number}(?:,\s*[xyz]={number})*)\s*([^\d\s,]*)", text.strip())
        with suppress(ValueError, KeyError):
            if whole:
                size = float(whole[1])
                return cls(size, size, size, UNITS[whole[2]])
            pairs = re.findall(rf"([xyz])=({number})", parts[1]) if parts else []
            sizes = dict(pairs)
            if parts and len(sizes) == len(pairs) and {"x", "y"} <= sizes.keys():
                lengths = {axis: float(size) for axis, size in sizes.items()}
                return cls(**lengths, unit=UNITS[parts[2]], has_z="z" in sizes)
        message = f"{text}: expected 0.65um or z=2.0,y=0.65,x=0.65um (units: {', '.join(UNITS)})"
        raise UsageError(message)

    @property
    def record(self) -> dict[str, float | str]:
        """Lengths and unit, for run files."""
        return {"x": self.x, "y": self.y, "z": self.z, "unit": self.unit}

    def spacing(self, ndim: int) -> tuple[float, ...]:
        """Extents in the order of array axes: (y, x) in 2D, (z, y, x) in 3D."""
        return (self.y, self.x) if ndim == 2 else (self.z, self.y, self.x)

    def described(self, ndim: int) -> str:
        """Extents and unit, for messages: ``y=0.65,x=0.65um``."""
        lengths = zip("zyx"[-ndim:], self.spacing(ndim), strict=True)
        return ",".join(f"{axis}={n:g}" for axis, n in lengths) + self.unit

    def side(self, ndim: int) -> float | None:
        """The extent along all axes, if it is the same but for rounding; else None."""
        lengths = self.spacing(ndim)
        return self.x if all(isclose(n, self.x, rel_tol=ROUNDING) for n in lengths) else None

    @property
    def in_micrometres(self) -> "PixelSize | None":
        """The same size in µm; None if the unit is not one of length.

        Examples
        --------
        >>> PixelSize(130, 130, 300, "nm").in_micrometres
        PixelSize(x=0.13, y=0.13, z=0.3, unit='um')
        """
        if self.unit not in MICROMETRES:
            return None
        x, y, z = (decimal(n) * decimal(MICROMETRES[self.unit]) for n in (self.x, self.y, self.z))
        return PixelSize(float(x), float(y), float(z), "um")


def decimal(number: float) -> Fraction:
    """The shortest decimal number that has this floating-point number: 0.1 is a tenth."""
    return Fraction(str(float(number)))


PIXELS = PixelSize(unit="px")
"""Lengths are in pixels."""


class Stored(Protocol):
    """An array that is read by region, in its own order of axes: what a reader of a format returns."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the stored axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region (one slice with integer bounds for each stored axis)."""


@dataclass(frozen=True)
class Image:
    """A lazy image, whatever its file: `read` returns pixels in the order of `AXES`.

    Parameters
    ----------
    name
        As the user gave it, for messages.
    stored
        The array that holds the pixels.
    axes
        Meaning of the stored axes, a selection of ``"tzyxc"`` with x and y.
    axes_from
        How they were found, for messages: ``"axistags"``, ``"shape"``, ``"--input_axes"`` …
    drange
        Smallest and largest possible value, where the file says so.
    pixel_size
        Where the file says so.
    files
        The files it is made of; of those on servers, the URLs without secrets.
    version
        What tells one version of an image on servers from another; empty for files.
    """

    name: str
    stored: Stored
    axes: str
    axes_from: str
    drange: tuple[float, float] | None = None
    pixel_size: PixelSize | None = None
    files: tuple[str, ...] = ()
    version: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        wrong = set(self.axes) - set(AXES)
        if wrong or len(set(self.axes)) != len(self.axes) or not {"x", "y"} <= set(self.axes):
            message = (
                f"{self.name}: axes '{self.axes}' ({self.axes_from}): expected letters of tzyxc, "
                "each once, with x and y (give them with --input_axes)"
            )
            raise ImageError(message)
        if len(self.axes) != len(self.stored.shape):
            message = (
                f"{self.name}: axes '{self.axes}' ({self.axes_from}) do not fit shape "
                f"{self.stored.shape} (give them with --input_axes)"
            )
            raise ImageError(message)
        if 0 in self.stored.shape:
            message = f"{self.name}: shape {self.stored.shape} has no pixels"
            raise ImageError(message)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Lengths of t, z, y, x, c."""
        lengths = dict(zip(self.axes, self.stored.shape, strict=True))
        t, z, y, x, c = (int(lengths.get(axis, 1)) for axis in AXES)
        return t, z, y, x, c

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.stored.dtype

    @property
    def ndim(self) -> int:
        """3 where there are several planes, else 2 (as ilastik counts)."""
        return 3 if self.shape[1] > 1 else 2

    def read(self, region: Region | None = None) -> AnyArray:
        """Pixels of the region (default: all), C-contiguous, axes `AXES`."""
        whole = tuple(slice(0, n) for n in self.shape)
        wanted = dict(zip(AXES, region or whole, strict=True))
        pixels = self.stored.read(tuple(wanted[axis] for axis in self.axes))
        return to_canonical(pixels, self.axes)

    def frame(self, t: int) -> Region:
        """The region of one time step."""
        _, z, y, x, c = self.shape
        return slice(t, t + 1), slice(0, z), slice(0, y), slice(0, x), slice(0, c)


def to_canonical(pixels: AnyArray, axes: str) -> AnyArray:
    """Bring an array with axes ``axes`` to `AXES`, absent ones with length 1."""
    present = [axis for axis in AXES if axis in axes]
    ordered = pixels.transpose([axes.index(axis) for axis in present])
    missing = tuple(i for i, axis in enumerate(AXES) if axis not in axes)
    return np.ascontiguousarray(np.expand_dims(ordered, missing))


def from_canonical(pixels: AnyArray, axes: str) -> AnyArray:
    """Bring an array with axes `AXES` to ``axes``; axes left out must have length 1."""
    dropped = tuple(i for i, axis in enumerate(AXES) if axis not in axes)
    kept = [axis for axis in AXES if axis in axes]
    return pixels.squeeze(dropped).transpose([kept.index(axis) for axis in axes])


PIXEL_ROLE = "pixel_probabilities"
"""Role of probabilities that are the result, not where objects are found."""


@dataclass(frozen=True)
class Lane:
    """The images that belong together: raw data, and the image that defines the objects.

    ``role`` is the ilastik role of ``objects``: ``segmentation_image``, ``prediction_maps`` or
    ``label_image``; `PIXEL_ROLE` where pixels alone are classified: then ``objects`` are their probabilities.
    ``mask``, if given, says where pixels have probabilities. ``raw`` may be None where no feature needs it. ``atlas`` may be an image: its value at
    the centre of each object goes into the table.

    ``metadata`` are columns of the table that say where the images come from, such as plate and well: pairs of a name and a
    text, the same names in all lanes of a run. ``given_size`` and ``cutout`` are the pixel size and the part to write (start and
    stop) that were given for this lane; None: those of the run.
    """

    raw: Image | None
    objects: Image
    role: str
    nickname: str
    directory: str
    atlas: Image | None = None
    mask: Image | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    given_size: PixelSize | None = None
    cutout: tuple[Any, Any] | None = None

    def __post_init__(self) -> None:
        for image in self.images:
            for axis, a, b in zip(AXES[:4], image.shape, self.objects.shape, strict=False):
                if a != b:
                    message = (
                        f"{' and '.join(self._described())} differ along {axis} (wrong --input_axes?"
                        f"{' --ignore_training_axistags?' if self._has_training_axes else ''})"
                    )
                    raise ImageError(message)

    @property
    def images(self) -> list[Image]:
        """The images of the lane, without the absent ones."""
        objects = None if self.is_computed else self.objects
        return [image for image in (self.raw, objects, self.atlas, self.mask) if image is not None]

    @property
    def is_computed(self) -> bool:
        """Whether ``objects`` are pixel predictions that are computed from raw data."""
        return self.objects.axes_from == COMPUTED_AXES

    @property
    def _has_training_axes(self) -> bool:
        return any(image.axes_from == TRAINING_AXES for image in self.images)

    def _described(self) -> list[str]:
        roles = ("raw data", self.role.replace("_", " "), "atlas", "prediction mask")
        given = zip(roles, (self.raw, self.objects, self.atlas, self.mask), strict=True)
        return [
            f"{role} {image.name} {image.stored.shape} with axes {image.axes} from {image.axes_from}"
            for role, image in given
            if image is not None
        ]

    @property
    def channels(self) -> int:
        """Channels of the raw data; 0 without raw data."""
        return self.raw.shape[4] if self.raw is not None else 0

    @property
    def pixel_size(self) -> PixelSize | None:
        """The pixel size of the first input that has one: objects, raw data, atlas."""
        asked = (self.objects, self.raw, self.atlas)
        return next((image.pixel_size for image in asked if image is not None and image.pixel_size), None)


@dataclass(frozen=True)
class Objects:
    """The objects of one time step.

    Parameters
    ----------
    labels
        Label image, axes z, y, x, uint32: 0 is background, objects are 1 … ``count``, numbered by
        their first voxel in C order. An array, or an object with ``shape`` that is
        indexed by three slices with bounds, ``labels[z, y, x]``.
    count
        Number of objects.
    original
        For objects from a label image: their ids in that image, one for each object.
    """

    labels: Any
    count: int
    original: NDArray[Any] | None = None

    @property
    def ndim(self) -> int:
        """3 where there are several planes, else 2."""
        return 3 if self.labels.shape[0] > 1 else 2


@dataclass(frozen=True)
class FeatureTable:
    """One row for each object, with the numbers of each feature.

    Parameters
    ----------
    timestep, label
        Integer index of the rows, both of length n.
    values
        Key of a feature -> array of shape (n, k).
    given
        Columns that are not measured (``original_oid``, ``AtlasMapping``): name -> array of length n.
    """

    timestep: IntArray
    label: IntArray
    values: Mapping[Any, FloatArray]
    given: Mapping[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, numbers in self.values.items():
            if numbers.ndim != 2 or len(numbers) != len(self.label):
                message = f"{key}: shape {numbers.shape}, expected ({len(self.label)}, k)"
                raise ValueError(message)

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: IntArray) -> "FeatureTable":
        """Some of the rows."""
        values = {key: numbers[index] for key, numbers in self.values.items()}
        given = {name: column[index] for name, column in self.given.items()}
        return FeatureTable(self.timestep[index], self.label[index], values, given)


def concatenate(tables: Sequence[FeatureTable]) -> FeatureTable:
    """The rows of several tables of the same features, one after the other."""
    first = tables[0]
    return FeatureTable(
        np.concatenate([table.timestep for table in tables]),
        np.concatenate([table.label for table in tables]),
        {key: np.concatenate([table.values[key] for table in tables]) for key in first.values},
        {name: np.concatenate([table.given[name] for table in tables]) for name in first.given},
    )


@dataclass(frozen=True)
class Predictions:
    """What is predicted of objects.

    Parameters
    ----------
    probabilities
        Class probabilities, float32: rows are objects, columns are the project's classes.
    novelty
        How unlike the objects of the training each is (n,), float32: above 1 it is novel; None if it is not known.
    """

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None = None

    @property
    def classes(self) -> NDArray[np.uint8]:
        """The class of each object, from 1: the most probable one; of several equally probable ones the first."""
        return (self.probabilities.argmax(axis=1) + 1).astype(np.uint8)

    @property
    def uncertainty(self) -> NDArray[np.float32]:
        """1 minus the difference between the two highest probabilities."""
        if self.probabilities.shape[1] == 1:
            return 1 - self.probabilities[:, 0]
        top = np.sort(self.probabilities, axis=1)[:, -2:]
        return 1 - (top[:, 1] - top[:, 0])

    @property
    def is_novel(self) -> NDArray[np.bool_] | None:
        """Whether each object is unlike those of the training; None if it is not known."""
        return self.novelty > 1 if self.novelty is not None else None


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of objects, one part after the other; all of them know the novelty, or none does."""
    novelty = [part.novelty for part in parts if part.novelty is not None]
    probabilities = np.concatenate([part.probabilities for part in parts])
    return Predictions(probabilities, np.concatenate(novelty) if novelty else None)


@dataclass(frozen=True)
class ArrayStore:
    """An array in memory (or anything with shape, dtype and slicing) as `Stored`."""

    array: Any
    dtype: np.dtype[Any] = field(init=False)
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.array.dtype))
        object.__setattr__(self, "shape", tuple(int(n) for n in self.array.shape))

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the pieces that are packed together (HDF5, Zarr) or computed together (dask)."""
        lengths = getattr(self.array, "chunks", None)
        if not lengths or len(lengths) != len(self.shape):
            return None
        return tuple(int(max(n) if isinstance(n, tuple) else n) for n in lengths)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        return np.asarray(self.array[region])


Progress = Callable[[str, float], None]
"""Called with the nickname of the lane that is being run and its completed fraction (0 to 1)."""
