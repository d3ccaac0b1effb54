"""What tests share: where the reference data are, small images, a small trained project."""

import os
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


@pytest.fixture
def samples() -> Path:
    return SAMPLES


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
