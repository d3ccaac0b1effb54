"""Side by side: objclass and a scikit-image + scikit-learn + pandas script, on the same images.

``python benchmarks/run.py [--rounds 5]`` prints one table in Markdown.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile

HERE = Path(__file__).parent
STANDARD = (
    "Count", "RegionCenter", "Coord<Minimum>", "Coord<Maximum>", "RegionRadii", "Mean", "Variance", "Skewness",
    "Kurtosis", "Minimum", "Maximum", "Sum", "Histogram", "Quantiles",
)  # fmt: skip


def field(size, count, seed):
    """Raw (uint16) and segmentation: ellipses that do not touch, on noise."""
    rng = np.random.default_rng(seed)
    raw, mask = rng.normal(100, 10, (size, size)), np.zeros((size, size), np.uint8)
    reach = 16
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    made = 0
    while made < count:
        cy, cx = rng.integers(reach + 1, size - reach - 2, 2)
        a, b = rng.uniform(6, reach, 2)
        inside = (x / a) ** 2 + (y / b) ** 2 <= 1
        box = slice(cy - reach - 1, cy + reach + 2), slice(cx - reach - 1, cx + reach + 2)
        if mask[box].any():
            continue
        mask[box][1:-1, 1:-1][inside] = 1
        raw[box][1:-1, 1:-1][inside] += rng.uniform(20, 100)
        made += 1
    return raw.clip(0, 65535).astype(np.uint16), mask


def prepare(folder):
    """Images, labels, and a trained model for either side."""
    from objclass.cli import main

    raw, mask = field(2048, 2000, 0)
    tifffile.imwrite(folder / "raw.tif", raw)
    tifffile.imwrite(folder / "seg.tif", mask)
    lines = ["labelimage_oid,class", *(f"{i},{'abc'[i % 3]}" for i in range(1, 301))]
    (folder / "labels.csv").write_text("\n".join(lines))
    images = ["--raw_data", str(folder / "raw.tif"), "--segmentation_image", str(folder / "seg.tif")]
    for name, features in (
        ("basic", [f"Standard Object Features:{n}" for n in STANDARD]),
        ("ilastik", ["Standard Object Features", "2D Convex Hull Features", "2D Skeleton Features"]),
    ):
        arguments = ["train", "--quiet", "--project", str(folder / f"{name}.ilp"), *images]
        if main([*arguments, "--labels", str(folder / "labels.csv"), "--features", *features]) != 0:
            raise SystemExit(1)
    subprocess.run([sys.executable, HERE / "scikit.py", "train", folder], check=True)
    return images


def ours(folder, images, project):
    """The command of objclass."""
    return [
        sys.executable, "-m", "objclass", "--headless", "--quiet", "--project", str(folder / f"{project}.ilp"), *images,
        "--export_object_prediction_img", "--export_object_probability_img", "--output_format", "multipage tiff",
        "--output_filename_format", str(folder / "{result_type}"), "--table_filename", str(folder / "ours.csv"),
    ]  # fmt: skip


def measured(folder, images, features, name):
    """The command of objclass without a project."""
    return [
        sys.executable, "-m", "objclass", "--headless", "--quiet", *images, "--table_only", "--features", *features,
        "--table_filename", str(folder / f"{name}.csv"),
    ]  # fmt: skip


def seconds(command):
    """Wall and user seconds of a whole process."""
    before, start = os.times().children_user, time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start, os.times().children_user - before


def compare(title, a, b, rounds):
    """A row of the table: medians of interleaved rounds."""
    for command in (a, b):
        seconds(command)  # warm the file cache
    found = [(seconds(a), seconds(b)) for _ in range(rounds)]
    wall = [statistics.median(f[side][0] for f in found) for side in (0, 1)]
    user = [statistics.median(f[side][1] for f in found) for side in (0, 1)]
    ratio = statistics.median(f[1][0] / f[0][0] for f in found)
    return f"| {title} | {wall[0]:.2f} ({user[0]:.2f}) | {wall[1]:.2f} ({user[1]:.2f}) | {ratio:.1f}× |"


def forest_row(rounds):
    """Prediction in one process: 40,000 rows, 100 columns, 100 trees, 5 classes."""
    from sklearn.ensemble import RandomForestClassifier

    from objclass.forest import fit

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1000, 100)).astype(np.float32)
    labels = 1 + np.digitize(rows[:, 0] + rows[:, 1] * rows[:, 2], [-1, -0.3, 0.3, 1])
    asked = rng.normal(size=(40000, 100)).astype(np.float32)
    model, forest = (
        RandomForestClassifier(100, random_state=0).fit(rows, labels),
        fit(rows, labels, 5, 100, 0)[0],
    )
    found = [
        (clock(lambda: forest.predict(asked)), clock(lambda: model.predict_proba(asked)))
        for _ in range(rounds)
    ]
    a, b = (statistics.median(f[side] for f in found) for side in (0, 1))
    return (
        f"| forest, 40,000 rows × 100 columns × 100 trees (in process) | {a:.2f} | {b:.2f} | {b / a:.1f}× |"
    )


def clock(call):
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    names = ("objclass", "numpy", "scikit-image", "scikit-learn", "pandas", "polars")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()};",
          ", ".join(f"{name} {version(name)}" for name in names))  # fmt: skip
    print("\nMedian wall seconds (user seconds) of whole, cold processes; 2048×2048, 2,000 objects.\n")
    print("| job | objclass | scikit-image + scikit-learn + pandas | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = prepare(folder)
        scikit = [sys.executable, HERE / "scikit.py"]
        run = ours(folder, images, "basic")
        title = "classes, probabilities, table; basic features"
        print(compare(title, run, [*scikit, "predict", folder], rounds))
        more = f"{title} (ours also with skewness, kurtosis, histogram: theirs too)"
        print(compare(more, run, [*scikit, "predict", folder, "more"], rounds))
        props = measured(folder, images, ["regionprops"], "props")
        print(compare("every `regionprops` property, table", props, [*scikit, "regionprops", folder], rounds))
        full = ours(folder, images, "ilastik")
        wall, user = seconds(full)
        print(f"| all of ilastik's default features (margin 30), cold | {wall:.2f} ({user:.2f}) | – | |")
    print(forest_row(rounds))


if __name__ == "__main__":
    main()
