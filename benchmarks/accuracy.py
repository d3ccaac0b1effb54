"""How well objects are classified: ours, ilastik's features, and a script with scikit-image and scikit-learn.

``python benchmarks/accuracy.py`` prints the tables of ``docs/accuracy.md``. The images with known classes are not part of
the repository: the variable ``OBJCLASS_SHARED`` names the folder that holds them in ``data``.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
from skimage.measure import regionprops_table
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier

import objclass
from objclass.evaluation.folds import folds_of
from objclass.evaluation.groups import regions
from objclass.evaluation.intervals import jackknife, plain
from objclass.evaluation.scores import Scores, confusions, recalls
from objclass.features.contract import BEST, feature_set

FOLDS, TREES, REGIONS = 5, 100, 10

STANDARD = "Standard Object Features"
SHAPE = {2: ("2D Convex Hull Features", "2D Skeleton Features"), 3: ("3D Convex Hull Features",)}

PROPERTIES = (
    "label", "area", "axis_major_length", "axis_minor_length", "eccentricity", "solidity", "extent", "perimeter",
    "intensity_mean", "intensity_min", "intensity_max", "intensity_std",
)  # fmt: skip
PLANE_ONLY = ("eccentricity", "perimeter")


# ---------------------------------------------------------------------------- data


@dataclass(frozen=True)
class Picture:
    """An image, its label image, and what is known of its objects: label (and timestep), class, group."""

    raw: np.ndarray
    raw_axes: str
    labels: np.ndarray
    axes: str
    known: pd.DataFrame

    @property
    def channels(self):
        return self.raw.shape[self.raw_axes.index("c")] if "c" in self.raw_axes else 1


def rows_of(folder, without=()):
    """The table of a data set, without the classes that are no classes."""
    rows = pd.read_csv(folder / "objects.csv")
    return rows[~rows["class"].isin(without)]


def blood(folder):
    for name, rows in rows_of(folder).groupby("image"):
        known = pd.DataFrame({"label": rows["label_id"], "class": rows["class"], "group": name})
        raw = imagecodecs.imread(folder / f"images/{name}.jpg")
        yield Picture(raw, "yxc", tifffile.imread(folder / f"labels/{name}_labels.tif"), "yx", known)


def white_cells(folder):
    for name, rows in rows_of(folder, ["basophil"]).groupby("image"):
        known = pd.DataFrame({"label": rows["label_id"], "class": rows["class"], "group": name})
        raw = imagecodecs.imread(folder / f"images/{name}.png")
        cell = tifffile.imread(folder / f"labels/{name}_labels.tif")[0]  # the other channel is the nucleus
        yield Picture(raw, "yxc", cell, "yx", known)


def movie(folder):
    rows = rows_of(folder, ["unsure"])
    known = pd.DataFrame({"timestep": rows["t"], "label": rows["label_id"], "class": rows["class"]})
    known["group"] = known["label"]  # ids are tracks
    raw, labels = (tifffile.imread(folder / f"{name}_TYX.tif") for name in ("raw", "labels"))
    yield Picture(raw, "tyx", labels, "tyx", known)


def brain(folder):
    rows = rows_of(folder, ["unknown"])
    center = rows[["centroid_x", "centroid_y", "centroid_z"]].to_numpy(float)
    known = pd.DataFrame(
        {"label": rows["label_id"], "class": rows["class"], "group": regions(center, REGIONS)}
    )
    raw = tifffile.imread(folder / "brain_crop_ZCYX.tif")
    yield Picture(raw, "zcyx", tifffile.imread(folder / "brain_crop_labels_ZYX.tif"), "zyx", known)


DATA = {
    "bccd": (blood, "image"),
    "wbc-5class": (white_cells, "image"),
    "mitosis-timelapse": (movie, "track"),
    "cellfinder-brain3d": (brain, "region"),
}
"""Folder -> function that reads it, what the groups are."""


# ---------------------------------------------------------------------------- tables


def joined(tables, known):
    """Measured objects of all images whose class is known, in the order of ``known``."""
    found = []
    for table, rows in zip(tables, known, strict=True):
        on = [name for name in ("timestep", "label") if name in rows]
        found.append(rows[on].merge(table, on=on, how="left", validate="1:1"))
    whole = pd.concat(found, ignore_index=True)
    whole.attrs = tables[0].attrs  # what was measured, and how
    return whole


def ours(pictures, sets):
    """Those of the sets that have features for such images."""
    ndim, channels = 3 if "z" in pictures[0].axes else 2, pictures[0].channels
    features = [name for name in sets if any(f.fits(ndim, channels) for f in feature_set(name).values())]
    tables = [
        objclass.measure(
            p.labels, p.raw, features=features, axes=p.axes, intensity_axes=p.raw_axes, n_jobs=-1
        )
        for p in pictures
    ]
    return joined(tables, [p.known for p in pictures])


def scikit(pictures):
    tables = []
    for p in pictures:
        names = [name for name in PROPERTIES if "z" not in p.axes or name not in PLANE_ONLY]
        raw = np.moveaxis(p.raw, p.raw_axes.index("c"), -1) if "c" in p.raw_axes else p.raw
        steps = zip(p.labels, raw, strict=True) if "t" in p.axes else [(p.labels, raw)]
        found = [pd.DataFrame(regionprops_table(*step, properties=names)) for step in steps]
        if "t" in p.axes:
            found = [table.assign(timestep=t) for t, table in enumerate(found)]
        tables.append(pd.concat(found))
    return joined(tables, [p.known for p in pictures])


# ---------------------------------------------------------------------------- classifiers


def by_script(table, classes, seed, _):
    """A function that predicts the classes of such a table."""
    columns = [name for name in table if name not in ("label", "timestep")]
    forest = RandomForestClassifier(TREES, random_state=seed).fit(table[columns], classes)
    return lambda other: forest.predict(other[columns])


def by_objclass(class_weight=None):
    def fit(table, classes, seed, _):
        return objclass.learn(table, classes, trees=TREES, seed=seed, class_weight=class_weight).predict

    return fit


def by_choice(table, classes, seed, groups):
    """Features are chosen within the objects that are learned from, in folds of whole groups."""
    grouped = table.assign(Image=[f"{group:06d}" for group in groups])
    classifier = objclass.learn(
        grouped, classes, features="auto", trees=TREES, seed=seed, class_weight="balanced"
    )
    return classifier.predict


def by_scikit(model):
    """Our columns, another classifier of scikit-learn."""

    def fit(table, classes, seed, _):
        columns = objclass.learn(table, classes, trees=1).feature_names_in_
        rows = lambda some: np.nan_to_num(some[columns].to_numpy(np.float32), nan=0, posinf=0, neginf=0)  # noqa: E731
        fitted = model(seed).fit(rows(table), classes)
        return lambda other: fitted.predict(rows(other))

    return fit


WAYS = {
    "ilastik": ("standard", by_objclass()),
    "ilastik, shape too": ("shape", by_objclass()),
    "script": ("script", by_script),
    "ours": ("ours", by_objclass("balanced")),
}
"""Name -> name of its table, how a classifier is made of it."""

TRIED = {
    "ilastik, balanced": ("standard", by_objclass("balanced")),
    "ours, not balanced": ("ours", by_objclass()),
    "leaves of 3": (
        "ours",
        by_scikit(
            lambda seed: RandomForestClassifier(
                TREES, random_state=seed, class_weight="balanced", min_samples_leaf=3
            )
        ),
    ),
    "a third of the columns": (
        "ours",
        by_scikit(
            lambda seed: RandomForestClassifier(
                TREES, random_state=seed, class_weight="balanced", max_features=0.3
            )
        ),
    ),
    "extremely randomised": (
        "ours",
        by_scikit(lambda seed: ExtraTreesClassifier(TREES, random_state=seed, class_weight="balanced")),
    ),
    "regionprops, too": ("everything", by_objclass("balanced")),
    "auto": ("everything", by_choice),
    "boosted": (
        "ours",
        by_scikit(lambda seed: HistGradientBoostingClassifier(random_state=seed, class_weight="balanced")),
    ),
}
"""What was tried besides (``--tried``)."""


def tables_of(pictures, ways):
    """Name of each table that is needed -> the table."""
    ndim = 3 if "z" in pictures[0].axes else 2
    makers = {
        "standard": lambda: ours(pictures, [STANDARD]),
        "shape": lambda: ours(pictures, [STANDARD, *SHAPE[ndim]]),
        "ours": lambda: ours(pictures, [*BEST]),
        "everything": lambda: ours(pictures, [*BEST, "regionprops"]),
        "script": lambda: scikit(pictures),
    }
    return {name: makers[name]() for name in dict.fromkeys(table for table, _ in ways.values())}


def judged(table, fit, classes, groups, repeats):
    """Confusion matrix of each group (groups, classes, classes), the mean over repeats of a cross-validation."""
    names = np.unique(classes)
    numbers = np.searchsorted(names, classes) + 1
    total = np.zeros((groups.max() + 1, len(names), len(names)))
    for repeat in range(repeats):
        fold = folds_of(groups, numbers, FOLDS, np.random.default_rng([0, repeat]))
        found = np.zeros(len(table), np.intp)
        for number in range(FOLDS):
            held_out = fold == number
            seed = repeat * FOLDS + number
            predict = fit(table[~held_out], classes[~held_out], seed, groups[~held_out])
            found[held_out] = np.searchsorted(names, predict(table[held_out])) + 1
        total += confusions(numbers, found, groups, len(names))
    return total / repeats


def difference(one, other):
    """Balanced accuracy of one less that of another, of the same objects."""
    balanced = lambda counts: np.nanmean(recalls(counts), axis=-1)  # noqa: E731
    value, variance = jackknife(
        lambda counts: balanced(counts[..., 0, :, :]) - balanced(counts[..., 1, :, :]),
        np.stack([one, other], axis=1),
    )
    return plain(value, variance, len(one))


# ---------------------------------------------------------------------------- what is printed


def words(score, sign=""):
    return f"{score.value:{sign}.3f} ({score.low:{sign}.3f} to {score.high:{sign}.3f})"


def row(*cells):
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def head(*cells):
    row(*cells)
    row(*["---"] * len(cells))


def report(name, grouping, pictures, ways, repeats):
    known = pd.concat([p.known for p in pictures], ignore_index=True)
    classes = known["class"].to_numpy(str)
    groups = np.unique(known["group"].astype(str), return_inverse=True)[1]
    names = np.unique(classes)
    sizes = ", ".join(f"{which} {(classes == which).sum()}" for which in names)
    print(f"\n**{name}**: {len(known)} objects ({sizes}), {groups.max() + 1} groups ({grouping})\n")
    tables = tables_of(pictures, ways)
    head(
        "",
        "balanced accuracy",
        "accuracy",
        *[f"recall {which}" for which in names],
        "to ilastik",
        "to script",
    )
    found = {way: judged(tables[table], fit, classes, groups, repeats) for way, (table, fit) in ways.items()}
    for way, counts in found.items():
        scores = Scores(counts, tuple(names))
        against = [
            words(difference(counts, found[other]), "+") if way not in ("ilastik", "script") else ""
            for other in ("ilastik", "script")
        ]
        share = [f"{value:.2f}" for value in recalls(counts.sum(axis=0))]
        balanced, accuracy = words(scores.balanced_accuracy()), f"{scores.accuracy().value:.3f}"
        row(way, balanced, accuracy, *share, *against)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", choices=DATA, default=list(DATA))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tried", nargs="*", choices=TRIED, default=[], help="other ways besides")
    options = parser.parse_args()
    shared = Path(os.environ.get("OBJCLASS_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    for name in options.only:
        reader, grouping = DATA[name]
        report(
            name,
            grouping,
            [*reader(shared / name)],
            WAYS | {way: TRIED[way] for way in options.tried},
            options.repeats,
        )


if __name__ == "__main__":
    main()
