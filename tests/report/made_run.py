"""Reports of runs that tests make."""

from pathlib import Path

import numpy as np

from objclass.export.report import (
    BINS,
    COLUMN,
    NOVEL,
    TYPICAL,
    UNCERTAIN,
    Example,
    Findings,
    Report,
    Spread,
    as_text,
)
from objclass.pipeline.crops import Crop
from objclass.project.model import class_colors
from objclass.report.of_run import RunReport

NAMES = ("elongated", "ring", "round")


def report(lanes, classes=NAMES, **others):
    facts = (("objclass", ("1",)), ("features", ("Count", "Mean")))
    colors = class_colors((), len(classes))
    return Report("r.html", "cells.ilp", tuple(lanes), tuple(classes), colors, 6, 2, facts, **others)


def example(kind, group, score, label=1, frame=0, order=0, side=20):
    rng = np.random.default_rng([label, group, frame])
    mask = np.zeros((side, side), bool)
    mask[5:12, 6:14] = True
    crop = Crop(rng.integers(0, 256, (side, side, 1), dtype=np.uint8), mask)
    values = {"probability": score, "uncertainty": score, "novelty": 3 * score}
    return Example(kind, group, score, order, frame, label, (3.0, 4.5), values, picture=as_text(crop))


def findings(name, groups=3, steps=1, objects=40, seed=0, examples=None, side=20, metadata=(), novel=None):
    """A lane with about as many objects of each class in each time step; ``novel``: the part of each class that is novel."""
    rng = np.random.default_rng([seed, len(name)])
    counts = rng.multinomial(objects, np.full(groups, 1 / groups), size=steps)
    spread = [rng.multinomial(n, np.full(BINS, 1 / BINS)) for n in counts.sum(axis=0)]
    if examples is None:
        examples = [
            example(kind, group, float(rng.random()), label, order=seed, side=side)
            for group in range(groups)
            for label, kind in enumerate((TYPICAL, TYPICAL, UNCERTAIN, UNCERTAIN, NOVEL), 1 + 5 * group)
        ]
    return Findings(
        name,
        (("raw data", f"{name}.tif"), ("segmentation image", f"{name}_seg.tif")),
        tuple(metadata),
        tuple(map(tuple, counts.tolist())),
        tuple((100 * counts.sum(axis=0)).tolist()),
        {
            measure: tuple(Spread(tuple(n.tolist()), float(n.sum()) / 2) for n in spread)
            for measure in ("uncertainty", "novelty")
            if measure == "uncertainty" or novel is not None
        },
        () if novel is None else tuple((counts.sum(axis=0) * novel).astype(int).tolist()),
        tuple(examples),
    )


def page(folder, found, described=None, batches=1):
    """The page of lanes, as bytes; given to it in so many parts."""
    path = Path(folder) / "page.html"
    writer = RunReport(str(path), described or report([lane.image for lane in found]))
    rows = np.concatenate([lane.columns[COLUMN] for lane in found])
    for part in np.array_split(rows, batches):
        writer.append({COLUMN: part})
    writer.close()
    return path.read_bytes()


def run_page(folder):
    """A page with everything that a page of a run may show."""
    found = [findings(name, steps=3, seed=k, novel=0.4 * (name == "d")) for k, name in enumerate("abcdef")]
    return page(folder, found, report("abcdefg", failed={"g": "a fault"}))
