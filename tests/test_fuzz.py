"""Damaged projects are opened or refused in one line; `fuzz_projects.py` does many more."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_projects.py")
SAMPLES = sorted(str(path) for path in (SCRIPT.parents[1] / "sample_data").glob("*.ilp"))

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of time and memory are Linux's")


def fuzz(*arguments):
    """The script as a process of its own: pytest's is too large to be forked often."""
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@linux
def test_a_few_damaged_projects():
    fuzz("--count", "20", *SAMPLES)


@linux
@pytest.mark.slow
def test_damaged_projects():
    fuzz("--count", "150", "--seed", "1")
