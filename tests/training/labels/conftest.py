"""A small image with nine squares, three of each brightness, and a training that is quick."""

import numpy as np
import pytest

from objclass.cli import main

SMALL = (
    "--features",
    "Standard Object Features:Mean",
    "Standard Object Features:Count",
    "--trees",
    "10",
    "--repeats",
    "0",
)


class Place:
    """The folder of a test: squares 1 to 9, row by row, of 6 × 6 pixels each; square k begins at 10 times its row and column."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            np.save(path, content)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return name

    def image(self, name, *, depth=0, steps=0, offset=0):
        """Raw data and segmentation, ``name.npy`` and ``name_s.npy``."""
        squares = np.kron(np.arange(1, 10).reshape(3, 3), np.pad(np.ones((6, 6), int), (0, 4)))
        raw = squares % 3 * 80 + squares + offset
        for n in (depth, steps):
            if n:
                raw, squares = np.stack([raw] * n), np.stack([squares] * n)
        self.write(f"{name}.npy", raw.astype(np.uint8))
        self.write(f"{name}_s.npy", (squares > 0).astype(np.uint8))

    def train(self, *labels, images=("a",), project="new.ilp", more=()):
        """Train by the command line; the exit code."""
        given = ["--raw_data", *(f"{name}.npy" for name in images)] if images else []
        given += ["--segmentation_image", *(f"{name}_s.npy" for name in images)] if images else []
        return main(
            ["train", "--project", project, *given, "--labels", *labels, *SMALL, "--overwrite", *more]
        )


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Place(tmp_path)
    made.image("a")
    return made
