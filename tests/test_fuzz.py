"""Damaged projects and images are read or refused in one line; `fuzz_projects.py` and `fuzz_images.py` do many more."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SAMPLES = sorted(str(path) for path in (TESTS.parent / "sample_data").glob("*.ilp"))

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of time and memory are Linux's")


def fuzz(script, *arguments):
    """The script as a process of its own: pytest's is too large to be forked often."""
    done = subprocess.run(
        [sys.executable, TESTS / script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@linux
def test_a_few_damaged_projects():
    fuzz("fuzz_projects.py", "--count", "10", *SAMPLES)


@linux
@pytest.mark.slow
def test_damaged_projects():
    fuzz("fuzz_projects.py", "--count", "150", "--seed", "1")


FEW = [
    "HDF5",
    "TIFF, OME",
    "TIFF, LZW strips, big-endian",
    "NumPy, packed",
    "Zarr 2",
    "N5",
    "PNG, 16 bits",
    "GIF",
    "BMP",
]
"""Formats that are quick to read."""


@linux
def test_a_few_damaged_images():
    fuzz("fuzz_images.py", "--count", "18", *FEW)


@linux
@pytest.mark.slow
def test_damaged_images():
    fuzz("fuzz_images.py", "--count", "3000", "--seed", "2")
