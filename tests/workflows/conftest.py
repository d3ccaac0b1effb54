"""What the tests of workflows share: lanes, and the outputs of one plain run."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from objclass.cli import main
from tests.conftest import ROOT, SAMPLES

WORKFLOWS = ROOT / "workflows"

LANES = {"a": "cells", "b": "cells_train", "c": "cells"}
"""Nicknames and samples."""

OPTIONS = ["--export_object_prediction_img", "--output_format", "compressed tiff",
           "--output_filename_format", "results/{nickname}_{result_type}"]  # fmt: skip

PAIR = ["--project", "cells.ilp", "--pair", "--raw_data", "images/*_raw.tif",
        "--segmentation_image", "images/*_segmentation.tif"]  # fmt: skip

FILES = ["--table_filename", "results/objects.csv", "--summary_filename", "results/summary.csv"]


def make_lanes(folder: Path) -> Path:
    """A folder with images and the project."""
    (folder / "images").mkdir()
    for name, sample in LANES.items():
        shutil.copy(SAMPLES / f"{sample}.tif", folder / f"images/{name}_raw.tif")
        shutil.copy(SAMPLES / f"{sample}_segmentation.tif", folder / f"images/{name}_segmentation.tif")
    shutil.copy(SAMPLES / "cells.ilp", folder)
    return folder


@pytest.fixture
def lanes(tmp_path):
    return make_lanes(tmp_path)


@pytest.fixture
def environment():
    """Variables of a shell that finds the command ``objclass`` of this repository."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def digests(folder: Path) -> dict[str, str]:
    """sha256 of images, table and summary; not of run files, which hold times, nor of parts."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.suffix in {".csv", ".tiff"} and ".shard-" not in path.name
    }


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> Path:
    """The outputs of one run, on all lanes."""
    folder = make_lanes(tmp_path_factory.mktemp("plain"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["--headless", "--quiet", *PAIR, *FILES, *OPTIONS]) == 0
    return folder / "results"
