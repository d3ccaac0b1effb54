"""Make the sample data: synthetic images, so that everybody may use them for anything (CC0).

``python sample_data/make.py`` writes next to itself, with the same bytes each time (TIFF files: with the same version of tifffile):

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

from objclass.cli import main
from objclass.session.samples import field, prediction_map, stack

HERE = Path(__file__).parent


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
    run("train", "--overwrite", "--project", f"{at}/cells.ilp", "--raw_data", f"{at}/cells_train.tif",
        "--segmentation_image", f"{at}/cells_train_segmentation.tif", "--labels", f"{at}/cells_train_labels.csv",
        "--margin", "10")  # fmt: skip
    run("train", "--overwrite", "--project", f"{at}/spots3d.ilp", "--raw_data", f"{at}/spots3d_train.tif",
        "--label_image", f"{at}/spots3d_train_label_image.tif", "--labels", f"{at}/spots3d_train_painted.tif",
        "--class_names", "ball", "rod", "--margin", "5")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run("--headless", "--quiet", "--project", f"{at}/cells.ilp", "--raw_data", f"{at}/cells.tif",
            "--segmentation_image", f"{at}/cells_segmentation.tif", "--table_only",
            "--table_filename", f"{folder}/cells.csv")  # fmt: skip
        (HERE / "cells_expected.csv").write_bytes(Path(folder, "cells.csv").read_bytes())


if __name__ == "__main__":
    make()
