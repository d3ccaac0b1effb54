"""Many machines: the same bytes from threads, worker processes and array jobs, of a batch and of one volume.

``OBJCLASS_PROOF_SIDE=512 python -m pytest -m slow tests/test_machines.py`` takes a volume of 512³ voxels.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

pytest.importorskip("distributed")

from tests.clusters import environment
from tests.conftest import SAMPLES

pytestmark = pytest.mark.slow

LANES, SHARDS = 60, 7

SIDE = int(os.environ.get("OBJCLASS_PROOF_SIDE", "192"))

ENGINES = {
    "one": ("--jobs", "1"),
    "two": ("--jobs", "2"),
    **{f"dask {n}": ("--engine", "dask", "--jobs", str(n), "--max_memory", "6GB") for n in (1, 2, 4)},
}


def objclass(*arguments):
    command = [sys.executable, "-m", "objclass", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def digests(folder):
    """sha256 of each output; run files hold times."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "objclass_run" not in path.name and ".shard-" not in path.name
    }


def batch(out, *more):
    raws, segmentations = ([f"{name}{n:02}.tif" for n in range(LANES)] for name in ("raw", "seg"))
    return objclass(
        *("--headless", "--quiet", "--project", str(SAMPLES / "cells.ilp"), "--export_object_prediction_img"),
        *(
            "--export_object_probability_img",
            "--output_filename_format",
            f"{out}/{{nickname}}_{{result_type}}",
        ),
        *(
            "--table_filename",
            f"{out}/t.csv",
            "--summary_filename",
            f"{out}/s.xlsx",
            "--report",
            f"{out}/r.html",
        ),
        *("--raw_data", *raws, "--segmentation_image", *segmentations, *more),
    )


def test_a_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, source in (("raw", "cells.tif"), ("seg", "cells_segmentation.tif")):
        image = tifffile.imread(SAMPLES / source)
        for n in range(LANES):
            tifffile.imwrite(f"{name}{n:02}.tif", np.roll(image, 7 * n, axis=0)[: 300 - n])
    found = {}
    for name, options in ENGINES.items():
        batch(name, *options)
        found[name] = digests(name)
    for n in range(1, SHARDS + 1):
        batch("shards", "--shard", f"{n}/{SHARDS}", *(("--engine", "dask") if n == 3 else ()))
    parts = [str(path) for path in Path("shards").glob("*.shard-*")]
    objclass("merge", *parts, "--table_filename", "shards/t.csv")
    found["shards"] = digests("shards")
    assert len(found["one"]) == 2 * LANES + 3
    for name, outputs in found.items():
        assert outputs == found["one"], name


def volume(side):
    """Raw data, and ids of objects: boxes, rods and sheets along all axes, which reach over many seams."""
    random = np.random.default_rng(0)
    raw = random.integers(0, 200, (side,) * 3, np.uint8)
    labels = np.zeros((side,) * 3, np.uint16)
    for n in range(min(side**3 // 20_000, 60_000)):
        center = random.integers(0, side, 3)
        lengths = np.where(random.random(3) < 0.02, random.integers(8, side, 3), random.integers(1, 12, 3))
        box = tuple(slice(c, min(c + n, side)) for c, n in zip(center, lengths, strict=True))
        labels[box] = n + 1
        raw[box] //= random.integers(1, 4, dtype=np.uint8)
    return raw, labels


CLASSIFIED = (
    *(
        "--project",
        str(SAMPLES / "spots3d.ilp"),
        "--label_image",
        "objects.tif",
        "--ignore_training_axistags",
    ),
    *("--export_object_probability_img",),
)
MEASURED = ("--features", "Standard Object Features", "--margin", "3", "--segmentation_image", "objects.tif")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("single-scale OME-Zarr", MEASURED),
        ("multi-scale OME-Zarr", CLASSIFIED),
        ("compressed hdf5", CLASSIFIED),
    ],
)
def test_a_volume(tmp_path, monkeypatch, kind, options):
    """Cut among workers, its objects over all seams."""
    monkeypatch.chdir(tmp_path)
    for name, image in zip(("raw.tif", "objects.tif"), volume(SIDE), strict=True):
        tifffile.imwrite(name, image, photometric="minisblack", metadata={"axes": "ZYX"})
    found = {}
    for name, engine in ENGINES.items():
        objclass(
            *("--headless", "--quiet", "--raw_data", "raw.tif", *options, "--output_format", kind),
            *("--output_filename_format", f"{name}/{{result_type}}", "--table_filename", f"{name}/t.csv"),
            *("--export_object_identities_img", *engine),
        )
        found[name] = digests(name)
    assert len(found["one"]) >= 2
    for name, outputs in found.items():
        assert outputs == found["one"], name
