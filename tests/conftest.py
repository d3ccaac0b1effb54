"""What tests share: where the reference data are, small images, a small trained project."""

import importlib.util
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import settings

EXAMPLES = int(os.environ.get("OBJCLASS_TEST_EXAMPLES", "1"))
"""Factor for the number of examples of property tests; `test_properties.py` sets it for the slow tests."""


def examples(count, **more):
    """The settings of a property test: how many examples it tries among the fast tests."""
    return settings(max_examples=count * EXAMPLES, deadline=None, **more)


settings.register_profile("any machine", examples(25))
settings.load_profile("any machine")

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_data"

COMPARED = "ilastik"
"""The property of a test that names what it compared with ilastik's own answers."""

TINY_MEMORY = 20_000
"""Bytes that hold next to nothing: labels go to scratch, raw data are read anew."""

TINY_BLOCK = 3, 11
"""Planes and rows."""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with ilastik's own answers; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("OBJCLASS_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip("OBJCLASS_SHARED: no reference data here")
    return folder


def pytest_addoption(parser):
    parser.addoption(
        "--tiny_blocks",
        action="store_true",
        help="runs work in blocks of a few rows and keep next to nothing in memory",
    )


@pytest.fixture(autouse=True)
def tiny_blocks(request, monkeypatch):
    """With ``--tiny_blocks``: limits that no option allows, for all runs within this process."""
    if not request.config.getoption("--tiny_blocks"):
        return
    from objclass.batch import schedule
    from objclass.compute.context import Context
    from objclass.compute.limits import Limits
    from objclass.segmentation import threshold

    def of(resources, **given):
        limits = Limits(TINY_MEMORY, TINY_BLOCK, resources.jobs or 2)
        return replace(Context.of(resources, **given), limits=limits)

    monkeypatch.setattr(schedule, "Context", SimpleNamespace(of=of))
    # what is needed whole is let through
    monkeypatch.setattr("objclass.features.frame.Frame.check_boxes", lambda *_, **__: None)
    monkeypatch.setattr("objclass.pipeline.lane.check_count", lambda *_: None)
    monkeypatch.setattr("objclass.images.chunked.whole.WholeImage.__post_init__", lambda _: None)
    monkeypatch.setattr(threshold, "WHOLE", dict.fromkeys(threshold.WHOLE, 0))


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


def without_own(path):
    """Leave in a project what ilastik stores: no training table, no novelty."""
    with h5py.File(path, "a") as file:
        del file["objclass"]


@pytest.fixture
def ilastik_samples(samples) -> Path:
    """A copy of the sample data, with projects such as ilastik's."""
    for path in samples.glob("*.ilp"):
        without_own(path)
    return samples


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pytest_terminal_summary(terminalreporter):
    """What was compared with ilastik's own answers, by whichever process did it."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    compared = [line for report in reports for name, line in report.user_properties if name == COMPARED]
    if not compared:
        return
    terminalreporter.section("ilastik's own answers")
    line = "{:45} {:>7} {:>7}  {:30} {:>12} {:>6}".format
    terminalreporter.write_line(line("case", "objects", "columns", "worst column", "difference", "voxels"))
    for case, objects, columns, name, gap, voxels in sorted(compared):
        terminalreporter.write_line(line(case, objects, columns, name[:30], f"{gap:g}", voxels))
