"""Which part of the objects of new images is novel: of images like those of the training, and of changed ones.

``python benchmarks/novelty.py`` prints the table of ``docs/how-to/novelty.md``. The images with known classes are not part of
the repository: the variable ``OBJCLASS_SHARED`` names the folder that holds them in ``data``.
"""

import argparse
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import tifffile

import objclass

FEATURES = "Standard Object Features"
SPLITS = 2

CHANGES = {
    "none": lambda raw: raw,
    "brightness × 1.5": lambda raw: np.minimum(np.rint(raw * 1.5), 255).astype(np.uint8),
    "× 0.67": lambda raw: np.rint(raw / 1.5).astype(np.uint8),
    "inverted": lambda raw: 255 - raw,
    "channels exchanged": lambda raw: raw[..., [2, 0, 1]] if raw.ndim == 3 else None,
}


def stills(folder, suffix):
    """Name, raw data, labels and classes by label of single images."""
    for name, rows in pd.read_csv(folder / "objects.csv").groupby("image"):
        raw = imagecodecs.imread(folder / f"images/{name}.{suffix}")
        labels = tifffile.imread(folder / f"labels/{name}_labels.tif")
        labels = labels[0] if labels.ndim == 3 else labels  # the other channel is the nucleus
        yield name, raw, labels, dict(zip(rows["label_id"], rows["class"], strict=True))


def frames(folder):
    """The same of the time steps of a movie, each as an image."""
    raw, labels = (tifffile.imread(folder / f"{name}_TYX.tif") for name in ("raw", "labels"))
    rows = pd.read_csv(folder / "objects.csv")
    for t, here in rows[rows["class"] != "unsure"].groupby("t"):
        yield f"{t:02d}", raw[t], labels[t], dict(zip(here["label_id"], here["class"], strict=True))


def trained(images):
    """A project that is trained on images."""
    tables, classes = [], []
    for name, raw, labels, known in images:
        table = objclass.measure(labels, raw, features=FEATURES)
        tables.append(table.assign(image=name))
        classes += [known.get(label) for label in table["label"]]
    table = pd.concat(tables, ignore_index=True)
    table.attrs = tables[0].attrs
    return objclass.learn(table, classes).project()


def novel(project, images, change):
    """The part of the objects of known classes that is novel; NaN where the change means nothing."""
    found = []
    for _, raw, labels, known in images:
        changed = change(raw)
        if changed is None:
            return float("nan")
        table = objclass.predict(project, changed, label_image=labels, images=()).table
        found += (table["Novelty"] > 1)[table["label"].isin(list(known))].tolist()
    return float(np.mean(found))


def halves(images, split, *, is_movie):
    """Half of the images for training, the others; of a movie the halves are in sequence."""
    order = np.arange(len(images)) if is_movie else np.random.default_rng(split).permutation(len(images))
    cut = len(images) // 2
    parts = [images[k] for k in order[:cut]], [images[k] for k in order[cut:]]
    return parts[::-1] if is_movie and split else parts


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of data sets")
    only = parser.parse_args().only
    data = Path(os.environ.get("OBJCLASS_SHARED", Path(__file__).parents[2] / "shared")) / "data"
    sets = {
        "wbc-5class": lambda: stills(data / "wbc-5class", "png"),
        "bccd": lambda: stills(data / "bccd", "jpg"),
        "mitosis-timelapse": lambda: frames(data / "mitosis-timelapse"),
    }
    print("|", " | ".join(["labelled", *CHANGES]), "|")
    print("|---" * (len(CHANGES) + 1) + "|")
    for name, read in sets.items():
        if only and name not in only:
            continue
        images = list(read())
        parts = [halves(images, split, is_movie=name.startswith("mitosis")) for split in range(SPLITS)]
        projects = [trained(training) for training, _ in parts]
        shares = [
            np.mean([novel(project, new, change) for project, (_, new) in zip(projects, parts, strict=True)])
            for change in CHANGES.values()
        ]
        cells = ["–" if np.isnan(share) else f"{share:.1%}" for share in shares]
        print("|", " | ".join([name, *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
