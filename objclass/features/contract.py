"""The definition of a feature: its name, the statistics that it needs, the shape of its result.

A feature is a small pure function in ``features/sets/<set>.py``; the types of its parameters are the
statistics that it needs (`objclass.features.statistics`), which determine how it is computed::

    @feature("Count", title="Size in pixels", unit="px")
    def count(extent: Extent) -> FloatArray:
        \"\"\"Number of pixels of the object.\"\"\"
        return extent.count
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from typing import Any, get_type_hints

import numpy as np

from objclass import registry
from objclass.core import AnyArray
from objclass.errors import PluginError, UsageError, suggestion
from objclass.features.statistics.kinds import Statistic, closure

Key = tuple[str, str]
"""Name of a feature set, name of a feature."""


@dataclass(frozen=True)
class Feature:
    """One feature: its name, the statistics that it needs, the shape of its result.

    Parameters
    ----------
    set_name, name
        Together its key.
    compute
        Function of the statistics ``needs``, in this order; returns an array of shape (n, …), a row for each object.
    needs
        The types of the statistics.
    title
        Name of the column.
    shape
        Numbers for each object: any of ``"axis"`` (one for each axis of the image, in the order x, y(, z), or
        (z,) y, x with ``hyphen``), ``"d"`` (as many, in another order), ``"2d"`` (first and last along each axis),
        ``"4^d"`` (one axis of length 4 for each dimension), ``"c"`` (channels), ``"pairs"`` (of channels) and integers.
    unit
        Unit, such as ``"px"`` (a length or coordinate), ``"pixels"`` (a number of pixels) or ``"intensity"``; ``""`` for
        none.
    dims
        Dimensions of the images for which it is defined: 2, 3 or both.
    channels
        Channels of the raw data for which it is defined: ``"any"``, ``"one"``, ``"many"``.
    scope
        The pixels that are measured: those of the ``"object"``, those around it (``"context"``), or ``"both"``.
    dtype
        Type to which the numbers are rounded.
    hyphen
        Whether columns are numbered ``name-0-1`` (scikit-image) rather than ``title_0`` (ilastik).
    prefix
        First words of its name in tidy tables; None: those of the name of the set.
    """

    set_name: str
    name: str
    compute: Callable[..., AnyArray]
    needs: tuple[type[Statistic], ...]
    title: str
    shape: tuple[str | int, ...] = ()
    unit: str = ""
    dims: tuple[int, ...] = (2, 3)
    channels: str = "any"
    scope: str = "object"
    dtype: type[np.floating[Any]] = np.float32
    hyphen: bool = False
    prefix: str | None = None
    location: bool = False
    """Whether it is the location of the object, which does not help to distinguish classes."""

    @property
    def advanced(self) -> bool:
        """Whether it is left out unless it is given by name (as in ilastik's dialog)."""
        plain = self.name in ("Coord<Minimum>", "Coord<Maximum>")
        return self.scope == "both" or self.name == "PrincipalAxes" or ("<" in self.name and not plain)

    @property
    def key(self) -> Key:
        """Its key in tables: set and name."""
        return self.set_name, self.name

    @property
    def definition(self) -> str:
        """The docstring of its function."""
        return inspect.getdoc(self.compute) or ""

    @property
    def looks_at_pixels(self) -> bool:
        """Whether raw data are needed."""
        return self.scope != "object" or any(s.pixels for s in closure(self.needs))

    def extents(self, ndim: int, channels: int) -> tuple[int, ...]:
        """Shape of the numbers of one object."""
        known = {"axis": (ndim,), "d": (ndim,), "2d": (2 * ndim,), "4^d": (4,) * ndim, "c": (channels,)}
        known["pairs"] = (math.comb(channels, 2),)
        lengths = [k for n in self.shape for k in (known[n] if isinstance(n, str) else (n,))]
        if self.hyphen and self.shape[-1:] == ("c",) and channels == 1:
            lengths = lengths[:-1]  # scikit-image numbers channels only if there are several
        return tuple(lengths)

    def columns(self, ndim: int, channels: int) -> list[str]:
        """Names of its columns in a table."""
        extents = self.extents(ndim, channels)
        if self.shape == ("pairs",):
            return [f"{self.title}-{a}-{b}" for a, b in combinations(range(channels), 2)]
        if self.hyphen:
            return ["-".join([self.title, *map(str, index)]) for index in np.ndindex(extents)]
        width = int(np.prod(extents, dtype=int))
        return [self.title] if width == 1 else [f"{self.title}_{k}" for k in range(width)]

    def fits(self, ndim: int, channels: int) -> bool:
        """Whether it is defined for such images (``channels`` 0: no raw data)."""
        if ndim not in self.dims or (channels == 0 and self.looks_at_pixels):
            return False
        return {"any": True, "one": channels <= 1, "many": channels > 1}[self.channels]


@dataclass
class FeatureSet(Mapping[str, Feature]):
    """The features of one set by name; its method `feature` is the decorator that adds one."""

    name: str
    dtype: type[np.floating[Any]] = np.float32
    hyphen: bool = False
    prefix: str | None = None
    _features: dict[str, Feature] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def feature(
        self, name: str, *, title: str = "", **fields: Any
    ) -> Callable[[Callable[..., AnyArray]], Callable[..., AnyArray]]:
        """Register a function as the feature ``name``; ``fields`` are further fields of `Feature`."""

        def register(function: Callable[..., AnyArray]) -> Callable[..., AnyArray]:
            needs = get_type_hints(function)  # annotations may be postponed
            self.add(
                Feature(
                    self.name,
                    name,
                    function,
                    tuple(needs[name] for name in inspect.signature(function).parameters),
                    title or name,
                    dtype=self.dtype,
                    hyphen=self.hyphen,
                    prefix=self.prefix,
                    **fields,
                )
            )
            return function

        return register

    def add(self, feature: Feature) -> None:
        """Register a feature.

        Raises
        ------
        PluginError
            If another feature of the set has the same name or title.
        """
        for other in self._features.values():
            if feature.name == other.name or feature.title == other.title:
                message = (
                    f"feature set '{self.name}': '{other.name}' and '{feature.name}' are both called "
                    f"'{feature.title}'"
                )
                raise PluginError(message)
        self._features[feature.name] = feature


def feature_set(name: str) -> FeatureSet | None:
    """The set of that name, None if there is none."""
    found: FeatureSet | None = registry.feature_set(name)
    return found


def choose(names: Sequence[str], ndim: int, channels: int, *, training: bool = False) -> list[Feature]:
    """Features by name: a whole set (its features that are defined for the image), ``set:feature``, or ``best``.

    From a whole set, advanced features are left out, and for training those of location. `BEST` are those sets of which any
    feature is defined for the image.

    Raises
    ------
    UsageError
        If there is no such set or feature, or it is not defined for the image.
    """
    chosen: dict[Key, Feature] = {}
    best = [
        known for known in BEST if any(f.fits(ndim, channels) for f in (feature_set(known) or {}).values())
    ]
    for name in chain.from_iterable(best if given == "best" else [given] for given in names):
        set_name, _, feature_name = name.partition(":")
        found = feature_set(set_name)
        if found is None:
            known = ", ".join(registry.feature_sets())
            message = f"no feature set '{set_name}'{_similar(set_name)}: expected set or set:feature, of the sets {known}"
            raise UsageError(message)
        if not feature_name:
            whole = [f for f in found.values() if f.fits(ndim, channels) and not f.advanced]
            if not whole:
                message = f"--features '{name}': none of the set is defined for {_kind(ndim, channels)}"
                raise UsageError(message)
            chosen |= {f.key: f for f in whole if not (training and f.location)}
        elif feature_name not in found:
            message = (
                f"no feature '{feature_name}' in the set {set_name}{_similar(feature_name, set_name)}: see "
                "objclass features"
            )
            raise UsageError(message)
        elif channels == 0 and found[feature_name].looks_at_pixels:
            message = f"feature '{name}' needs raw data: give --raw_data"
            raise UsageError(message)
        elif not found[feature_name].fits(ndim, channels):
            message = f"feature '{name}' is not defined for {_kind(ndim, channels)}"
            raise UsageError(message)
        else:
            chosen[found[feature_name].key] = found[feature_name]
    _check_titles(chosen.values())
    return list(chosen.values())


BEST = ("Standard Object Features", "hull", "texture", "radial", "colour", "parts")
"""The sets that distinguish classes best on real images (docs/accuracy.md): in place of their names, ``best``."""

AUTO = "auto"
"""In place of names of features: those of our own sets that help to distinguish the classes."""


def candidates(ndim: int, channels: int) -> list[Feature]:
    """All features of our own sets that are defined for such images, without advanced ones and those of location."""
    own = [name for name in registry.FEATURE_SETS if name != "Default features"]  # in another set, too
    every = [feature for name in own for feature in (feature_set(name) or {}).values()]
    return [f for f in every if f.fits(ndim, channels) and not f.advanced and not f.location]


def _check_titles(features: Iterable[Feature]) -> None:
    """Refuse features that would have the same column; only in ilastik's sets a function may occur twice."""
    titles: dict[str, Feature] = {}
    for feature in features:
        other = titles.setdefault(feature.title, feature)
        if other.compute is not feature.compute:
            message = (
                f"features '{':'.join(other.key)}' and '{':'.join(feature.key)}' would both be the column "
                f"'{feature.title}': choose one of them"
            )
            raise UsageError(message)


def _kind(ndim: int, channels: int) -> str:
    """Description of an image, for messages."""
    raw = f"with {channels} channel{'s' * (channels != 1)}" if channels else "without raw data"
    return f"{ndim}D images {raw}"


def _similar(name: str, set_name: str = "") -> str:
    """A suggestion of a similar set or feature, for messages."""
    sets = [set_name] if set_name else list(registry.feature_sets())
    known = {feature: f"{found}:{feature}" for found in sets for feature in feature_set(found) or ()}
    known |= {} if set_name else dict(zip(sets, sets, strict=True))
    return suggestion(name, known)


def feature_rows() -> list[dict[str, Any]]:
    """Set, name, column title, unit, dimensions, channels and definition of every feature."""
    return [
        {
            "set": feature.set_name,
            "name": feature.name,
            "column": feature.title,
            "unit": feature.unit,
            "dims": list(feature.dims),
            "channels": feature.channels,
            "definition": " ".join(feature.definition.split()),
        }
        for name in registry.feature_sets()
        for feature in (feature_set(name) or {}).values()
    ]


def in_neighbourhood(feature: Feature, scope: str, suffix: str) -> Feature:
    """The same feature of the pixels around the object."""
    return replace(
        feature,
        name=f"{feature.name} {suffix}",
        title=f"{feature.title} {suffix}",
        scope=scope,
    )
