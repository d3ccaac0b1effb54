"""What runs take of memory, as the largest resident set of a process of their own. Slow: ``-m slow``.

Not by a limit of the address space, since numba, BLAS and threads reserve more than they use.
"""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from objclass.features.contract import feature_set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="told otherwise elsewhere"),
]

SIDE = 64
"""Of the chunks, which are all alike but for the bars."""


def balls(rng, count=4):
    """Raw data and segmentation of one chunk: balls on noise, that touch nothing."""
    raw = rng.integers(60, 92, (SIDE, SIDE, SIDE)).astype(np.uint8)
    seg = np.zeros_like(raw)
    pitch = SIDE // count
    grid = np.mgrid[:pitch, :pitch, :pitch] - (pitch - 1) / 2
    for k in range(count**3):
        z, y, x = (pitch * n for n in np.unravel_index(k, (count,) * 3))
        ball = (grid**2).sum(axis=0) < (pitch * rng.uniform(0.3, 0.45)) ** 2
        box = slice(z, z + pitch), slice(y, y + pitch), slice(x, x + pitch)
        seg[box][ball] = 1
        raw[box][ball] += np.uint8(rng.integers(20, 120))
    return raw, seg


def volume(folder, shape):
    """``raw.h5`` and ``seg.h5``: one packed chunk over and over, which is quick to write, and bars through many."""
    for name, pixels in zip(("raw", "seg"), balls(np.random.default_rng(0), 3), strict=True):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            data = file.create_dataset("data", shape, np.uint8, chunks=(SIDE,) * 3, compression="gzip",
                                       compression_opts=1)  # fmt: skip
            data[:SIDE, :SIDE, :SIDE] = pixels
            mask, packed = data.id.read_direct_chunk((0, 0, 0))
            for index in np.ndindex(*(n // SIDE for n in shape)):
                data.id.write_direct_chunk(tuple(SIDE * k for k in index), packed, mask)
            bars = 1 if name == "seg" else 200
            for k in range(0, min(shape), 3 * SIDE):
                data[k, k, :] = data[k, :, k] = data[:, k, k] = bars


def peak(folder, *arguments):
    """Run in a process of its own; answers bytes."""
    command = [sys.executable, "-m", "objclass", "--headless", "--quiet", *arguments]
    child = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    told = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    assert child.returncode == 0, told
    return used.ru_maxrss * 1024


def standard(scope="object"):
    return [
        f"Standard Object Features:{name}"
        for name, f in feature_set("Standard Object Features").items()
        if f.fits(3, 1) and f.scope == scope and not f.advanced
    ]


RUN = ["--raw_data", "raw.h5", "--segmentation_image", "seg.h5", "--input_axes", "zyx", "--jobs", "2",
       "--table_filename", "t.csv", "--output_filename_format", "ids"]  # fmt: skip


@pytest.fixture(scope="module")
def half_a_gigavoxel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    volume(folder, (512, 1024, 1024))
    return folder


@pytest.mark.parametrize(("allowed", "most"), [("1GB", 1200), ("600MB", 800)])
def test_a_volume_in_blocks(half_a_gigavoxel, allowed, most):
    used = peak(half_a_gigavoxel, *RUN, "--max_memory", allowed, "--features", *standard())
    assert used < most * 1e6


def test_twice_the_volume_takes_no_more(tmp_path, half_a_gigavoxel):
    """But for what each object takes: some 2 KB."""
    volume(tmp_path, (256, 1024, 1024))
    features = ["--max_memory", "1GB", "--features", *standard()]
    less, more = (peak(folder, *RUN, *features) for folder in (tmp_path, half_a_gigavoxel))
    with open(half_a_gigavoxel / "t.csv") as file:
        objects = sum(1 for _ in file)
    assert more < less + 2000 * objects / 2 + 100e6


def test_all_of_ilastiks_columns_of_a_plane(tmp_path):
    """2048², 2,000 objects, neighbourhoods of 30 pixels, hull and skeleton."""
    rng = np.random.default_rng(0)
    raw = rng.integers(60, 120, (2048, 2048)).astype(np.uint16)
    seg = np.zeros(raw.shape, np.uint8)
    y, x = np.mgrid[:45, :45] - 22
    for k in range(45 * 45):
        i, j = 45 * (k // 45), 45 * (k % 45)
        seg[i : i + 45, j : j + 45] = (y / rng.uniform(8, 21)) ** 2 + (x / rng.uniform(8, 21)) ** 2 < 1
    np.save(tmp_path / "raw.npy", raw)
    np.save(tmp_path / "seg.npy", seg)
    sets = ["Standard Object Features", "2D Convex Hull Features", "2D Skeleton Features"]
    used = peak(tmp_path, "--raw_data", "raw.npy", "--segmentation_image", "seg.npy", "--table_filename", "t.csv",
                "--output_filename_format", "ids", "--jobs", "2", "--features", *sets)  # fmt: skip
    assert used < 350e6
