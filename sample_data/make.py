"""Make the sample data: synthetic images, so that everybody may use them for anything (CC0).

``python sample_data/make.py`` writes, beside itself and with the same bytes each time:

- ``cells_train``, ``cells``: 2D fields of three kinds of cells (round, elongated, ring). For each the raw
  image, a segmentation, and a prediction map (two channels: cell, background) as pixel classification
  would give it.
- ``cells_train_labels.csv``: the class of 12 cells of each kind in ``cells_train``.
- ``cells_train_strokes.png``: three brush strokes on ``cells_train``: 1 is background, 2 is cell.
- ``spots3d_train``, ``spots3d``: small stacks of two kinds of objects (ball, rod); the labels are painted.
- ``cells.ilp``, ``spots3d.ilp``: projects trained on them by ``objclass train``.
- ``cells_expected.csv``: the table of the README's first command.
"""

import csv
import json
import tempfile
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from objclass.cli import main

HERE = Path(__file__).parent
CELLS = ("round", "elongated", "ring")


def cell(
    kind: str, rng: np.random.Generator, size: int = 41
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Mask and brightness of one cell in a square."""
    y, x = np.mgrid[:size, :size] - size // 2
    angle = rng.uniform(0, np.pi)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    long = rng.uniform(8, 11) if kind != "elongated" else rng.uniform(13, 17)
    short = long * rng.uniform(0.85, 1.0) if kind != "elongated" else rng.uniform(4, 6)
    radius = np.hypot(u / long, v / short)
    light = np.clip(1.15 - 0.4 * radius, 0, 1) * rng.uniform(90, 150)
    if kind == "ring":
        light *= np.where(radius < 0.55, 0.45, 1.1)
    return radius <= 1, light


def field(count: int, seed: int, size: int = 320) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[str]]:
    """A noisy field: raw image, truth (1, 2, 3 … by cell), kind of each cell."""
    rng = np.random.default_rng(seed)
    light, truth = np.full((size, size), 22.0), np.zeros((size, size), np.uint8)
    kinds: list[str] = []
    for _ in range(4000):
        if len(kinds) == count:
            break
        kind = CELLS[len(kinds) % 3]
        mask, brightness = cell(kind, rng)
        y, x = rng.integers(0, size - len(mask), 2)
        box = slice(y, y + len(mask)), slice(x, x + len(mask))
        near = gaussian_filter(mask.astype(float), 2) > 0.02
        if truth[box][near].any():
            continue
        kinds.append(kind)
        truth[box][mask] = len(kinds)
        light[box][mask] += brightness[mask]
    raw = gaussian_filter(light, 1.0) + rng.normal(0, 5, light.shape)
    return np.clip(raw, 0, 255).astype(np.uint8), truth, kinds


def prediction_map(truth: NDArray[np.uint8], seed: int) -> NDArray[np.float32]:
    """Probabilities of cell and background, axes y, x, c."""
    rng = np.random.default_rng(seed)
    soft = gaussian_filter((truth > 0).astype(float), 1.2) + rng.normal(0, 0.04, truth.shape)
    inside = np.clip(soft, 0, 1).round(2).astype(np.float32)
    return np.stack([inside, 1 - inside], axis=-1)


def stack(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A small volume (z, y, x): raw, objects, and the kind of each voxel (1 ball, 2 rod)."""
    rng = np.random.default_rng(seed)
    shape = (20, 96, 96)
    light, objects, kinds = np.full(shape, 20.0), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    grid = np.mgrid[: shape[0], : shape[1], : shape[2]]
    made = 0
    for _ in range(2000):
        if made == count:
            break
        kind = made % 2 + 1
        z, y, x = rng.uniform([5, 10, 10], [15, 86, 86])
        angle = rng.uniform(0, np.pi)
        dy, dx = grid[1] - y, grid[2] - x
        u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        a, b, c = (5, 5, 4) if kind == 1 else (9, 2.6, 2.6)
        inside = (u / a) ** 2 + (v / b) ** 2 + ((grid[0] - z) / c) ** 2 <= 1
        if (gaussian_filter(objects.astype(float), 1.5)[inside] > 0.001).any():
            continue
        made += 1
        objects[inside], kinds[inside] = made, kind
        light[inside] += rng.uniform(70, 130)
    raw = gaussian_filter(light, 0.7) + rng.normal(0, 5, shape)
    return np.clip(raw, 0, 255).astype(np.uint8), objects, kinds


def write_h5(name: str, pixels: NDArray[np.float32]) -> None:
    """A prediction map as ilastik exports it."""
    axes = [
        {"key": key, "typeFlags": 1 if key == "c" else 2, "resolution": 0, "description": ""} for key in "yxc"
    ]
    with h5py.File(HERE / name, "w") as file:
        data = file.create_dataset("exported_data", data=pixels, compression="gzip", track_times=False)
        data.attrs["axistags"] = json.dumps({"axes": axes}, indent=2)


def make_cells(name: str, count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Raw image, segmentation and prediction map of a field."""
    raw, truth, kinds = field(count, seed)
    tifffile.imwrite(HERE / f"{name}.tif", raw, compression="zlib")
    tifffile.imwrite(HERE / f"{name}_segmentation.tif", (truth > 0).astype(np.uint8), compression="zlib")
    write_h5(f"{name}_probabilities.h5", prediction_map(truth, seed + 1))
    return truth, kinds


def write_labels(truth: NDArray[np.uint8], kinds: list[str]) -> None:
    """Centre and class of 12 cells of each kind."""
    with (HERE / "cells_train_labels.csv").open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["x", "y", "class"])
        for number, kind in enumerate(kinds[:36], 1):
            y, x = np.argwhere(truth == number).mean(axis=0).round().astype(int)
            rows.writerow([x, y, kind])


def run(*arguments: str) -> None:
    """A command of objclass."""
    if main(arguments) != 0:
        raise SystemExit(1)


def paint_strokes() -> None:
    """Three strokes of a brush: below the cells, through a round one, and along an elongated one."""
    strokes = np.zeros((320, 320), np.uint8)
    strokes[297:300, 12:120] = 1
    strokes[78:81, 182:195] = 2
    for step in range(20):
        strokes[37 + step // 5 : 39 + step // 5, 157 + step] = 2
    (HERE / "cells_train_strokes.png").write_bytes(imagecodecs.png_encode(strokes))


def make_images() -> None:
    """Images and labels."""
    write_labels(*make_cells("cells_train", 60, 1))
    paint_strokes()
    make_cells("cells", 60, 7)
    for name, seed in (("spots3d_train", 3), ("spots3d", 4)):
        raw, objects, kinds = stack(24, seed)
        for part, pixels in (("", raw), ("_label_image", objects), ("_painted", kinds)):
            if part != "_painted" or name == "spots3d_train":
                tifffile.imwrite(
                    HERE / f"{name}{part}.tif", pixels, compression="zlib", metadata={"axes": "ZYX"}
                )


def make() -> None:
    """Everything."""
    make_images()
    at = str(HERE)
    run("train", "--project", f"{at}/cells.ilp", "--raw_data", f"{at}/cells_train.tif",
        "--segmentation_image", f"{at}/cells_train_segmentation.tif", "--labels", f"{at}/cells_train_labels.csv",
        "--margin", "10")  # fmt: skip
    run("train", "--project", f"{at}/spots3d.ilp", "--raw_data", f"{at}/spots3d_train.tif",
        "--label_image", f"{at}/spots3d_train_label_image.tif", "--labels", f"{at}/spots3d_train_painted.tif",
        "--class_names", "ball", "rod", "--margin", "5")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run("--headless", "--quiet", "--project", f"{at}/cells.ilp", "--raw_data", f"{at}/cells.tif",
            "--segmentation_image", f"{at}/cells_segmentation.tif", "--table_only",
            "--table_filename", f"{folder}/cells.csv")  # fmt: skip
        (HERE / "cells_expected.csv").write_bytes(Path(folder, "cells.csv").read_bytes())


if __name__ == "__main__":
    make()
