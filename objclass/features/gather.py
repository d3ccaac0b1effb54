"""Compute statistics together, pass after pass, block after block."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from objclass.compute import meter
from objclass.compute.context import Context
from objclass.compute.slabs import Slab
from objclass.features.blocks import FrameBlocks, Stretch
from objclass.features.statistics import folding
from objclass.features.statistics.intensity import Intensity, Spread
from objclass.features.statistics.kinds import Derived, Done, Folded, Merged, Statistic
from objclass.features.statistics.runs import Fold
from objclass.features.statistics.scatter import CoordinateScatter
from objclass.features.voxels import Block, Voxels


def share(states: dict[type[Statistic], Any], folds: dict[type[Statistic], Fold], block: Block) -> None:
    """Share the arrays of statistics that are computed from the same sums."""
    if Intensity in folds and Spread in folds:
        intensity = states[Intensity]
        states[Spread] = replace(states[Spread], count=intensity.count, total=intensity.total)
        folds[Spread] = states[Spread].compiled(block, {})
    counted = Intensity if Intensity in folds else Spread
    if counted in folds and CoordinateScatter in folds:
        states[CoordinateScatter] = replace(states[CoordinateScatter], weight=states[counted].count)
        folds[CoordinateScatter] = states[CoordinateScatter].compiled(block, {})


def gather(
    statistics: Sequence[type[Statistic]],
    source: Iterable[Block | Voxels],
    context: Context | None = None,
) -> dict[type[Statistic], Any]:
    """Compute merged, folded and derived statistics in as few passes as the longest chain has.

    Parameters
    ----------
    statistics
        The statistics, each after those that it needs.
    source
        The slabs of a time step in scan order (or the voxels of samples); each pass goes through it.
    context
        The context of the run: with compiled code its threads share the objects.
    """
    context = context or Context()
    passes: dict[type[Statistic], int] = {}
    for s in statistics:
        before = max((passes[a] for a in s.after if a in passes), default=-1)
        passes[s] = before if issubclass(s, Derived) else before + 1
    done: dict[type[Statistic], Any] = {}
    scanned = [s for s in statistics if issubclass(s, Merged | Folded)]
    only: Block | Voxels | None = None  # the only one: it is read once
    for number in range(max((passes[s] for s in scanned), default=-1) + 1):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # pixels may be NaN
            now = [s for s in scanned if passes[s] == number]
            states, only = _pass(now, [only] if only else source, done, context)
            done |= states
            for s in statistics:
                if issubclass(s, Derived) and passes[s] == number:
                    done[s] = s.of(done)
    return done


def _pass(
    statistics: Sequence[type[Statistic]], parts: Iterable[Block | Voxels], done: Done, context: Context
) -> tuple[dict[type[Statistic], Any], Block | Voxels | None]:
    """One pass: the statistics that are computed together, and the block if there is only one."""
    if isinstance(parts, FrameBlocks) and (states := _by_stretches(statistics, parts, done)):
        return states, None
    states = {}
    folds: dict[type[Statistic], Fold] = {}
    only = function = None
    for number, block in enumerate(parts):
        only = None if number else block
        if isinstance(block, Block):
            if number == 0 and (function := compiled_for(block)):
                states, folds = _begin(statistics, block, done)
            if function:
                folding.fold(function, list(folds.values()), block, context)
        for s in statistics:
            if s not in folds:
                context.stop.check()
                voxels = block.voxels if isinstance(block, Block) else block
                states[s] = _advance(s, states.get(s), voxels, done)
    return states, only


def _by_stretches(
    statistics: Sequence[type[Statistic]], blocks: FrameBlocks, done: Done
) -> dict[type[Statistic], Any]:
    """One pass in which each thread goes through the slabs of its objects; {} where that is not possible."""
    if not blocks.stretches:
        return {}
    context, line = blocks.frame.context, blocks.read(Slab(0, 1, 0, 1))
    function = compiled_for(line)
    states, folds = _begin(statistics, line, done)
    if function is None or len(folds) < len(statistics):
        return {}

    advance = meter.loop(sum(map(len, blocks.stretches)))

    def work(stretch: Stretch) -> None:
        for slab, visit in stretch:
            context.stop.check()
            folding.fold(function, list(folds.values()), blocks.read(slab), context, visit)
            if advance is not None:
                advance()

    for _ in context.ordered(work, iter(blocks.stretches)):  # an iterator: their slabs are counted
        pass
    return states


def _begin(
    statistics: Sequence[type[Statistic]], block: Block, done: Done
) -> tuple[dict[type[Statistic], Any], dict[type[Statistic], Fold]]:
    """The states of statistics that compiled code updates."""
    states: dict[type[Statistic], Any] = {}
    folds: dict[type[Statistic], Fold] = {}
    for s in statistics:
        if issubclass(s, Merged | Folded) and s.compiled is not Statistic.compiled:
            state = s.start(block.nothing, done)
            fold = state.compiled(block, done) if state is not None else None
            if fold:
                states[s], folds[s] = state, fold
    share(states, folds, block)
    return states, folds


def _advance(s: type[Statistic], state: Any, voxels: Voxels, done: Done) -> Any:
    if issubclass(s, Merged):
        here = s.scan(voxels, done)
        return here if state is None else state + here
    if issubclass(s, Folded):
        return (s.start(voxels, done) if state is None else state).fold(voxels, done)
    message = f"{s.__name__} is neither merged nor folded"
    raise TypeError(message)


def compiled_for(block: Block) -> Any | None:
    """`folding.fold_part`, compiled, if it is faster than numpy for all images of the run; else None."""
    if block.raw.dtype.kind in "iu" and block.raw.dtype.itemsize > 4:
        return None  # float64, which kernels work with, cannot hold all of them
    return folding.kernel.choose(block.total)
