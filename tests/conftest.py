"""What tests share: where the reference data are, small images, a small trained project."""

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with ilastik's own answers; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("OBJCLASS_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip("OBJCLASS_SHARED: no reference data here")
    return folder


def script(path):
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def samples(tmp_path_factory) -> Path:
    """A copy of the sample data: runs write beside their inputs."""
    return shutil.copytree(SAMPLES, tmp_path_factory.mktemp("samples") / "sample_data")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
