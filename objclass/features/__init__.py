"""What can be measured of an object: the contract of a feature, and `measure`.

A feature is a small pure function in ``features/<set>.py``; the types of its parameters are the
statistics that it is made of (`objclass.features.statistics`), and so say how it is computed::

    @feature("Count", title="Size in pixels", unit="px")
    def count(extent: Extent) -> FloatArray:
        \"\"\"Number of pixels of the object.\"\"\"
        return extent.count
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from objclass import blocks, registry
from objclass.core import AnyArray, FloatArray, IntArray, Objects
from objclass.errors import LaneError, UsageError
from objclass.features import folding
from objclass.features.folding import Fold
from objclass.features.statistics import (
    Block,
    Crop,
    Derived,
    Done,
    Extent,
    Folded,
    Merged,
    PerObject,
    Statistic,
    Voxels,
    box_of,
    share,
)

Key = tuple[str, str]
"""Name of a feature set, name of a feature."""

CROP_BYTES = 32
"""Working memory for a voxel of an object that is measured whole."""

ReadRaw = Callable[[tuple[slice, slice, slice]], AnyArray]
"""Region (z, y, x) of a time step -> raw pixels, axes z, y, x, c."""


@dataclass(frozen=True)
class Feature:
    """One feature: how it is called, what it needs, what it answers.

    Parameters
    ----------
    set_name, name
        Together its key.
    compute
        From the statistics ``needs``, in this order, to an array of shape (n, …).
    needs
        Statistics.
    title
        How the column is called.
    shape
        Numbers for each object: any of ``"d"`` (dimensions), ``"2d"`` (twice as many), ``"4^d"`` (one
        axis of length 4 for each dimension), ``"c"`` (channels) and integers.
    unit
        ``"px"``, ``"intensity"``, ``""`` …
    dims
        2, 3 or both: for which images it is defined.
    channels
        ``"any"``, ``"one"``, ``"many"``: for which raw data it is defined.
    scope
        ``"object"``, or the pixels around it: ``"context"``, or ``"both"`` of them.
    dtype
        What the numbers are rounded to.
    hyphen
        Whether columns are numbered ``name-0-1`` (scikit-image) rather than ``title_0`` (ilastik).
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
    location: bool = False
    """Whether it says where the object is: of no use for telling classes apart."""

    @property
    def advanced(self) -> bool:
        """Whether it is left out unless asked for by name (as in ilastik's dialog)."""
        plain = self.name in ("Coord<Minimum>", "Coord<Maximum>")
        return self.scope == "both" or self.name == "PrincipalAxes" or ("<" in self.name and not plain)

    @property
    def key(self) -> Key:
        """What it is known by in a table."""
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
        known = {"d": (ndim,), "2d": (2 * ndim,), "4^d": (4,) * ndim, "c": (channels,)}
        lengths = [k for n in self.shape for k in (known[n] if isinstance(n, str) else (n,))]
        if self.hyphen and self.shape[-1:] == ("c",) and channels == 1:
            lengths = lengths[:-1]  # scikit-image numbers channels only if there are several
        return tuple(lengths)

    def columns(self, ndim: int, channels: int) -> list[str]:
        """Names of its columns in a table."""
        extents = self.extents(ndim, channels)
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
    """The features of one set by name; its `feature` is the decorator that adds one."""

    name: str
    dtype: type[np.floating[Any]] = np.float32
    hyphen: bool = False
    _features: dict[str, Feature] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Feature:
        return self._features[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)

    def feature(
        self, name: str, *, title: str = "", **stated: Any
    ) -> Callable[[Callable[..., AnyArray]], Callable[..., AnyArray]]:
        """Register a function as the feature ``name``; ``stated`` are fields of `Feature`."""

        def register(function: Callable[..., AnyArray]) -> Callable[..., AnyArray]:
            parameters = inspect.signature(function).parameters.values()
            self.add(
                Feature(
                    self.name,
                    name,
                    function,
                    tuple(parameter.annotation for parameter in parameters),
                    title or name,
                    dtype=self.dtype,
                    hyphen=self.hyphen,
                    **stated,
                )
            )
            return function

        return register

    def add(self, feature: Feature) -> None:
        """Register a feature."""
        self._features[feature.name] = feature


def feature_set(name: str) -> FeatureSet | None:
    """The set of that name, None if there is none."""
    found: FeatureSet | None = registry.lookup(registry.FEATURE_SETS, "objclass.features", name)
    return found


def choose(names: Sequence[str], ndim: int, channels: int, *, training: bool = False) -> list[Feature]:
    """Features by name: a whole set (what of it fits the image), or ``set:feature``.

    Of a whole set, advanced features are left out, and for training those that tell the location.

    Raises
    ------
    UsageError
        If there is no such set or feature, or the one asked for does not fit.
    """
    chosen: dict[Key, Feature] = {}
    for name in names:
        set_name, _, feature_name = name.partition(":")
        found = feature_set(set_name)
        if found is None:
            known = ", ".join(registry.FEATURE_SETS)
            message = f"no feature set '{set_name}': there are {known} (set or set:feature)"
            raise UsageError(message)
        if not feature_name:
            whole = [f for f in found.values() if f.fits(ndim, channels) and not f.advanced]
            chosen |= {f.key: f for f in whole if not (training and f.location)}
        elif feature_name not in found:
            message = f"no feature '{feature_name}' in the set {set_name}: see objclass features"
            raise UsageError(message)
        elif not found[feature_name].fits(ndim, channels):
            message = f"feature '{name}' is not defined for {ndim}D images of {channels} channels"
            raise UsageError(message)
        else:
            chosen[found[feature_name].key] = found[feature_name]
    return list(chosen.values())


@dataclass(frozen=True)
class Frame:
    """One time step to measure.

    Parameters
    ----------
    objects
        Its objects.
    read_raw
        Reads raw pixels; None without raw data.
    channels
        Of the raw data.
    spacing
        Extents of a voxel, (y, x) or (z, y, x).
    margin
        Neighbourhood in pixels along x, y(, z).
    limits
        Memory, blocks and threads.
    """

    objects: Objects
    read_raw: ReadRaw | None
    channels: int
    spacing: tuple[float, ...]
    margin: tuple[int, ...] = ()
    limits: blocks.Limits = blocks.ALL

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lengths of z, y, x."""
        z, y, x = self.objects.labels.shape
        return z, y, x

    def fitting_box(self, low: IntArray, high: IntArray, row: int) -> blocks.Box:
        """The region from ``low`` to ``high`` (exclusive; x, y(, z)) that is wanted for an object.

        Raises
        ------
        LaneError
            If it is more than the limits allow to be worked on at once.
        """
        self.check_boxes(low[None], high[None], row)
        return box_of(low, high)

    def check_boxes(
        self, low: IntArray, high: IntArray, first: int = 0, voxel_bytes: int | None = None
    ) -> None:
        """Look whether each region (n, d) can be worked on; ``first`` is the row of the first one's object.

        Raises
        ------
        LaneError
            If the limits do not allow ``voxel_bytes`` for each of its voxels.
        """
        needed = np.prod(high - low, axis=1) * (CROP_BYTES if voxel_bytes is None else voxel_bytes)
        most = self.limits.memory
        if most is None or not (needed > most).any():
            return
        row = int(np.argmax(needed > most))
        ends = zip("xyz", low[row], high[row], strict=False)
        message = (
            f"object {first + row + 1} is needed whole, {', '.join(f'{a} {b} to {e}' for a, b, e in ends)}: "
            f"about {needed[row] / 1e9:.2g} GB, {most / 1e9:.2g} GB are left for it: raise --max_memory, or "
            "leave out features of shape and neighbourhood"
        )
        raise LaneError(message)


def measure(frame: Frame, features: Iterable[Feature]) -> dict[Key, FloatArray]:
    """Measure the objects of a time step, slab by slab.

    Returns
    -------
    dict
        Key of each feature -> array of shape (n, k) in the dtype of its set; row i is object i + 1.
    """
    features = list(features)
    by_scope: dict[str, list[Feature]] = {}
    for wanted in features:
        by_scope.setdefault(wanted.scope, []).append(wanted)
    inside = by_scope.pop("object", [])
    needed = closure([Extent, *(s for f in inside for s in f.needs)])
    pixels = any(s.pixels for s in needed if not issubclass(s, PerObject))
    done = gather(needed, lambda: _frame_blocks(frame, pixels=pixels), frame.limits.jobs)
    _add_per_object(frame, needed, done)
    results = {f.key: _compute(f, done, frame.objects.count) for f in inside}
    if by_scope:
        results |= _measure_around(frame, by_scope, done[Extent])
    return {f.key: results[f.key] for f in features}


def closure(statistics: Iterable[type[Statistic]]) -> list[type[Statistic]]:
    """The statistics and all that they need, each after what it needs."""
    ordered: dict[type[Statistic], None] = {}
    for statistic in statistics:
        ordered |= dict.fromkeys(closure(statistic.after))
        ordered[statistic] = None
    return list(ordered)


def gather(
    statistics: Sequence[type[Statistic]],
    read_blocks: Callable[[], Iterable[Block | Voxels]],
    threads: int = 1,
) -> dict[type[Statistic], Any]:
    """Compute merged, folded and derived statistics in as few passes as the longest chain has.

    Parameters
    ----------
    statistics
        Each after what it needs.
    read_blocks
        Begins a pass: slabs of a time step in scan order (or the voxels of samples).
    threads
        That share the objects of a slab among them, where compiled code is at work.
    """
    passes: dict[type[Statistic], int] = {}
    for s in statistics:
        before = max((passes[a] for a in s.after if a in passes), default=-1)
        passes[s] = before if issubclass(s, Derived) else before + 1
    done: dict[type[Statistic], Any] = {}
    scanned = [s for s in statistics if issubclass(s, Merged | Folded)]
    only: Block | Voxels | None = None  # that there is: it is read once
    for number in range(max((passes[s] for s in scanned), default=-1) + 1):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # pixels may be NaN
            now = [s for s in scanned if passes[s] == number]
            states, only = _pass(now, [only] if only else read_blocks(), done, threads)
            done |= states
            for s in statistics:
                if issubclass(s, Derived) and passes[s] == number:
                    done[s] = s.of(done)
    return done


def _pass(
    statistics: Sequence[type[Statistic]], parts: Iterable[Block | Voxels], done: Done, threads: int
) -> tuple[dict[type[Statistic], Any], Block | Voxels | None]:
    """Statistics that are computed together, block after block; and the block if there is only one."""
    states: dict[type[Statistic], Any] = {}
    folds: dict[type[Statistic], Fold] = {}
    only = None
    for number, block in enumerate(parts):
        only = None if number else block
        function = block.choose() if isinstance(block, Block) else None
        if isinstance(block, Block) and function:
            known = len(folds)
            for s in statistics:
                if s not in folds:
                    _compile(s, states, folds, block, done)
            if len(folds) > known:
                share(states, folds, block)
            folding.fold(function, list(folds.values()), block, threads)
        for s in statistics:
            if s not in folds:
                voxels = block.voxels if isinstance(block, Block) else block
                states[s] = _advance(s, states.get(s), voxels, done)
    return states, only


def _compile(
    s: type[Statistic],
    states: dict[type[Statistic], Any],
    folds: dict[type[Statistic], Fold],
    block: Block,
    done: Done,
) -> None:
    """Have compiled code go on with a statistic, if there is some and it is the sooner one."""
    if s.compiled is Statistic.compiled or not issubclass(s, Merged | Folded):
        return
    state = states[s] if s in states else s.start(block.nothing, done)
    fold = state.compiled(block, done) if state is not None else None
    if fold:
        states[s], folds[s] = state, fold


def _advance(s: type[Statistic], state: Any, voxels: Voxels, done: Done) -> Any:
    if issubclass(s, Merged):
        here = s.scan(voxels, done)
        return here if state is None else state + here
    if issubclass(s, Folded):
        return (s.start(voxels, done) if state is None else state).fold(voxels, done)
    message = f"{s.__name__} is neither merged nor folded"
    raise TypeError(message)


def _compute(feature: Feature, done: Done, count: int) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        numbers = np.asarray(feature.compute(*(done[s] for s in feature.needs)))
        return numbers.reshape(count, -1 if count else int(np.prod(numbers.shape[1:]))).astype(feature.dtype)


def _frame_blocks(frame: Frame, *, pixels: bool) -> Iterator[Block]:
    """The time step, slab after slab."""
    total = int(np.prod(frame.shape))

    def read(slab: blocks.Slab) -> Block:
        where = slab.within(frame.shape)
        labels = np.ascontiguousarray(frame.objects.labels[where])
        if pixels and frame.read_raw is not None:
            raw = frame.read_raw(where)
        else:
            raw = np.zeros((*labels.shape, 0), np.uint8)
        return Block(labels, raw, slab.origin, frame.objects.count, total, frame.objects.ndim, frame.spacing)

    return blocks.ordered(read, frame.limits.slabs(frame.shape), frame.limits.jobs)


def _add_per_object(
    frame: Frame, needed: Sequence[type[Statistic]], done: dict[type[Statistic], Any]
) -> None:
    """Compute the statistics that want each object whole."""
    wanted = [s for s in needed if issubclass(s, PerObject)]
    done |= {s: s(at_once) for s in wanted if (at_once := s.of_all(frame, done[Extent])) is not None}
    wanted = [s for s in wanted if s not in done]
    for reach in sorted({s.reach for s in wanted}):
        now = [s for s in wanted if s.reach == reach]
        pixels = any(s.pixels for s in now)
        numbers: dict[type[PerObject], list[Sequence[float]]] = {s: [] for s in now}
        for crop in crops(frame, done[Extent], reach, pixels=pixels):
            for s in now:
                numbers[s].append(s.of(crop))
        for s in now:
            width = s.width(frame.objects.ndim, frame.channels)
            done[s] = s(np.array(numbers[s], np.float64).reshape(frame.objects.count, width))


def crops(frame: Frame, extent: Extent, reach: int, *, pixels: bool) -> Iterator[Crop]:
    """Each object whole, with ``reach`` voxels around it as far as the image goes."""
    labels, ndim = frame.objects.labels, frame.objects.ndim
    total = int(np.prod(extent.high - extent.low + 1 + 2 * reach, axis=1).sum())
    for row in range(frame.objects.count):
        low = np.maximum(extent.low[row] - reach, 0)
        high = np.minimum(extent.high[row] + 1 + reach, frame.shape[::-1][:ndim])
        box = frame.fitting_box(low, high, row)
        raw = frame.read_raw(box) if pixels and frame.read_raw is not None else None
        if ndim == 2:
            raw = raw[0] if raw is not None else None
        mask = labels[box] == row + 1
        yield Crop(
            mask[0] if ndim == 2 else mask,
            raw,
            tuple(int(n) for n in low[::-1]),
            frame.spacing,
            total,
        )


def _measure_around(
    frame: Frame, by_scope: Mapping[str, Sequence[Feature]], extent: Extent
) -> dict[Key, FloatArray]:
    """Features of the pixels around each object (scopes ``context`` and ``both``)."""
    from objclass.features.neighbourhood import neighbourhoods

    parts: dict[Key, list[FloatArray]] = {f.key: [] for fs in by_scope.values() for f in fs}
    needed = {scope: closure(s for f in fs for s in f.needs) for scope, fs in by_scope.items()}
    for count, done in neighbourhoods(frame, extent, needed):
        for scope, features in by_scope.items():
            for f in features:
                parts[f.key].append(_compute(f, done[scope], count))
    return {key: np.concatenate(numbers) for key, numbers in parts.items()}


def in_neighbourhood(feature: Feature, scope: str, suffix: str) -> Feature:
    """The same feature of the pixels around the object."""
    return replace(
        feature,
        name=f"{feature.name} {suffix}",
        title=f"{feature.title} {suffix}",
        scope=scope,
    )
