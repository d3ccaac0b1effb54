"""The dry run: all faults of a batch in one go, without a pixel."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from objclass.cli import main
from objclass.core import Image

LANES = 60


def make(number):
    tifffile.imwrite(f"{number:04}_raw.tif", np.zeros((20, 30), np.uint8))
    tifffile.imwrite(f"{number:04}_seg.tif", np.zeros((20, 30), np.uint8))


def _other_shape(raw, seg):
    tifffile.imwrite(seg, np.zeros((21, 30), np.uint8))


def _three_planes(raw, seg):
    for path in (raw, seg):
        tifffile.imwrite(
            path, np.zeros((3, 20, 30), np.uint8), photometric="minisblack", metadata={"axes": "ZYX"}
        )


def _channels(raw, seg):
    tifffile.imwrite(raw, np.zeros((20, 30, 3), np.uint8), photometric="rgb")


def _channels_of_objects(raw, seg):
    tifffile.imwrite(seg, np.zeros((20, 30, 3), np.uint8), photometric="rgb")


def _two_datasets(raw, seg):
    Path(raw).unlink()
    with h5py.File(raw, "w") as file:
        file["a"] = file["b"] = np.zeros((20, 30), np.uint8)


def _folder(raw, seg):
    Path(raw).unlink()
    Path(raw).mkdir()


def _link(raw, seg):
    Path(seg).unlink()
    Path(seg).symlink_to("nowhere.tif")


FAULTS = {
    "no raw data": lambda raw, seg: Path(raw).unlink(),
    "no segmentation": lambda raw, seg: Path(seg).unlink(),
    "empty file": lambda raw, seg: Path(raw).write_bytes(b""),
    "text": lambda raw, seg: Path(raw).write_text("hello"),
    "cut off": lambda raw, seg: Path(raw).write_bytes(Path(raw).read_bytes()[:60]),
    "another shape": _other_shape,
    "another dimension": _three_planes,
    "channels": _channels,
    "channels of objects": _channels_of_objects,
    "a folder": _folder,
    "a broken link": _link,
    "an LFS pointer": lambda raw, seg: Path(seg).write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    ),
    "HDF5 named TIFF": _two_datasets,
    "one pixel row": lambda raw, seg: tifffile.imwrite(raw, np.zeros((1, 30), np.uint8)),
    "complex numbers": lambda raw, seg: tifffile.imwrite(seg, np.zeros((20, 30), np.complex64)),
}


def _pickled(path):
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _two_arrays(path):
    with h5py.File(path, "w") as file:
        file["a"] = file["b"] = np.zeros((20, 30), np.uint8)


def _other_cells(path):
    np.savez(path, a=np.zeros((20, 30), np.uint8), b=np.zeros((20, 30), np.uint8))


NAMES = {
    "an unknown suffix": ("cells.xyz", lambda path: Path(path).write_bytes(b"?")),
    "pickled objects": ("cells.npy", _pickled),
    "two arrays": ("cells.h5", _two_arrays),
    "arrays without a name": ("cells.npz", _other_cells),
    "a pattern without files": ("nothing/*.png", lambda path: None),
}
"""Faults of files of other names: the name, and what makes the file."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(LANES):
        make(number)
    return tmp_path


def arguments(*more, lanes=range(LANES)):
    return [
        *("--headless", "--raw_data", *(f"{n:04}_raw.tif" for n in lanes)),
        *("--segmentation_image", *(f"{n:04}_seg.tif" for n in lanes)),
        *("--features", "regionprops:centroid", "regionprops:intensity_mean"),
        *("--table_filename", "out/t.csv"),
        *("--output_filename_format", "out/{nickname}", "--output_format", "numpy", "--dry_run", *more),
    ]


@pytest.fixture
def no_pixels(monkeypatch):
    def read(self, region):
        assert self.files == (), f"pixels of {self.name} were read"  # the image that time is measured with
        return real(self, region)

    real = Image.read
    monkeypatch.setattr(
        Image, "read", lambda self, region: real(self, region) if not self.files else read(self, region)
    )


def test_all_faults_of_a_batch(here, capsys, no_pixels):
    where = {}
    for number, (name, spoil) in enumerate(FAULTS.items()):
        where[name] = f"{3 * number + 1:04}_raw"
        spoil(f"{3 * number + 1:04}_raw.tif", f"{3 * number + 1:04}_seg.tif")
    given = arguments("--json")
    for number, (name, (other, make_file)) in enumerate(NAMES.items(), len(FAULTS)):
        where[name] = Path(other).stem if "*" not in other else f"lane {3 * number}"
        make_file(other)
        given[given.index(f"{3 * number - 1:04}_raw.tif")] = other
    assert len(where) == 20
    before = sorted(os.listdir())
    assert main(given) == 2
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert {fault["lane"] for fault in found["faults"]} == set(where.values())
    assert len(found["lanes"]) >= LANES - len(where)
    assert all(fault["message"] for fault in found["faults"])
    assert "nothing was written" in told.err
    assert sorted(os.listdir()) == before


def test_nothing_is_wrong(here, capsys, no_pixels):
    before = sorted(os.listdir())
    assert main(arguments(lanes=range(2))) == 0
    told = capsys.readouterr().out
    for expected in ("0000_raw.tif", "axes yx", "20 × 30, uint8", "out/t.csv", "--mem=", "MB of memory"):
        assert expected in told
    assert sorted(os.listdir()) == before


def test_images_without_a_partner_and_files_that_are_missing(here, capsys):
    Path("0001_raw.tif").unlink()
    given = arguments(lanes=range(3))
    del given[given.index("0002_seg.tif")]
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "no such file: 0001_raw.tif" in told
    assert "0002_raw.tif" in told


def test_all_collisions(here, capsys):
    given = arguments("--export_source", "Object Identities", lanes=range(4))
    given[given.index("out/{nickname}")] = "out/same"
    assert main(given) == 2
    assert capsys.readouterr().err.count("would be written there") == 3


def test_lanes_of_other_dimensions_in_one_table(here, capsys):
    _three_planes("0001_raw.tif", "0001_seg.tif")
    _three_planes("0003_raw.tif", "0003_seg.tif")
    assert main(arguments(lanes=range(4))) == 2
    assert capsys.readouterr().err.count("would have other columns") == 2


def test_estimates_hold(here, capsys):
    """A run takes no more memory than was estimated, and not less than a third of it: images of any use, not tiny ones."""
    seg = np.zeros((1500, 1500), np.uint8)
    seg.reshape(50, 30, 50, 30)[:, 5:25, :, 5:25] = 1
    tifffile.imwrite("0000_raw.tif", np.full_like(seg, 7))
    tifffile.imwrite("0000_seg.tif", seg)
    given = arguments("--json", lanes=range(1))
    assert main(given) == 0
    memory = json.loads(capsys.readouterr().out)["estimate"]["memory"]
    command = [text for text in given if text not in ("--json", "--dry_run")]
    subprocess.run([sys.executable, "-m", "objclass", *command, "--quiet"], check=True)
    peak = json.loads(Path("out/objclass_run.json").read_text())["peak_memory"]
    assert peak <= memory <= 3 * peak, (peak, memory)


def test_json_needs_a_dry_run(here, capsys):
    given = [text for text in arguments("--json") if text != "--dry_run"]
    assert main(given) == 2
    assert "--dry_run" in capsys.readouterr().err


def volume(path, shape):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", shape, np.uint8, chunks=(1, 16, 64, 64)[-len(shape) :])


@pytest.mark.parametrize(
    ("shape", "axes", "engine"),
    [
        ((60, 256, 256), "zyx", ["--engine", "dask", "--jobs", "3"]),
        ((7, 20, 256, 256), "tzyx", ["--engine", "dask", "--jobs", "2"]),
        ((60, 256, 256), "zyx", ["--engine", "dask", "--jobs", "1"]),
        ((60, 256, 256), "zyx", []),
    ],
)
def test_tasks_are_all_of_a_lane(tmp_path, monkeypatch, capsys, shape, axes, engine):
    """With what each reads: its part, and around it the neighbourhood."""
    monkeypatch.chdir(tmp_path)
    volume("raw.h5", shape)
    volume("seg.h5", shape)
    given = [
        "--raw_data",
        "raw.h5/data",
        "--segmentation_image",
        "seg.h5/data",
        "--input_axes",
        axes,
        "--margin",
        "3",
    ]
    given += ["--features", "Standard Object Features:Mean", "Standard Object Features:Mean in neighborhood"]
    command = ["--headless", *given, *engine, "--max_memory", "2GB", "--dry_run"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    tasks, seen = found["lanes"][0]["tasks"], np.zeros(shape[:-1], int)
    for task in tasks:
        places = [slice(*task[axis]) for axis in axes[:-1]]
        seen[tuple(places)] += 1
        pixels = seen[tuple(places)].size * shape[-1]
        assert task["reads"]["segmentation_image"] == pixels
        z = task["z"]
        around = min(z[1] + 3, shape[-3]) - max(z[0] - 3, 0)
        assert task["reads"]["raw_data"] == pixels * around // (z[1] - z[0])
        assert 0 < task["memory"] < 2e9
    assert (seen == 1).all()
    assert (len(tasks) > 1) == ("--engine" in engine and engine[-1] != "1")
    assert found["engine"]["engine"] == (engine or ["", "threads"])[1]
    assert found["estimate"]["memory"] >= max(task["memory"] for task in tasks)
    assert main(command) == 0
    lines = capsys.readouterr().out
    assert f"{len(tasks)} task{'s' * (len(tasks) > 1)}" in lines
    assert f"engine {found['engine']['engine']}: up to {found['engine']['count']} task" in lines


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make(1)
    monkeypatch.setattr("objclass.batch.cluster.REACHED", 0.2)
    command = [
        "--headless",
        "--raw_data",
        "0001_raw.tif",
        "--segmentation_image",
        "0001_seg.tif",
        "--dry_run",
    ]
    assert main([*command, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no scheduler responds at tcp://127.0.0.1:9" in capsys.readouterr().err
