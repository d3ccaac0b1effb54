"""What cannot be done within the limits, or goes wrong amid the blocks: one line, and nothing left behind."""

import errno
import io

import h5py
import numpy as np
import pytest

from objclass.cli import main
from objclass.compute import scratch
from objclass.compute.kernels import Kernel
from objclass.compute.limits import Limits


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A volume of 9 objects, of which the fifth is large; answers the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    rng = np.random.default_rng(0)
    seg = np.zeros((24, 64, 64), np.uint8)
    for k in range(4):
        seg[k, 5 * k : 5 * k + 3, 2:6] = 1
        seg[20 + k, 5 * k : 5 * k + 3, 2:6] = 1
    seg[8:16, 10:60, 10:60] = 1
    for name, pixels in (("seg", seg), ("raw", rng.integers(0, 255, seg.shape).astype(np.uint8))):
        with h5py.File(f"{name}.h5", "w") as file:
            file.create_dataset("data", data=pixels, chunks=(8, 32, 64), compression="gzip")
    return tmp_path


def limited(monkeypatch, limits):
    monkeypatch.setattr("objclass.compute.context.limits_for", lambda _: limits)


def run(*features, images=("raw", "seg"), more=()):
    raw, seg = images
    return main(
        ["--headless", "--quiet", "--raw_data", f"{raw}.h5", "--segmentation_image", f"{seg}.h5",
         "--input_axes", "zyx", "--table_filename", "out/t.csv", "--output_filename_format", "out/ids",
         "--features", *features, *more]
    )  # fmt: skip


def told(capsys, folder):
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    assert all(p.name.startswith("objclass_run") for p in (folder / "out").iterdir())
    return lines[0]


STANDARD = "Standard Object Features"


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "feature",
    [f"{STANDARD}:Mean in neighborhood", "3D Convex Hull Features", "hull"],
)
def test_an_object_too_large_for_the_limits(here, monkeypatch, capsys, feature, compiled):
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled if compiled else None)
    limited(monkeypatch, Limits(300_000, (4, 64), 2))
    assert run(feature, more=["--margin", "2"]) == 3
    line = told(capsys, here)
    assert "lane 1/1 raw failed: object 5 must be in memory as a whole, x " in line
    for part in ("y ", "z ", "about 0.00", "--max_memory", "leave out features"):
        assert part in line
    limited(monkeypatch, Limits(20_000_000, (4, 64), 2))
    assert run(feature, more=["--margin", "2"]) == 0


def test_more_objects_than_the_memory_holds(here, monkeypatch, capsys):
    noise = np.zeros((4, 64, 64), np.uint8)
    noise[::2, ::2, ::2] = 1
    for name in ("seg", "raw"):
        with h5py.File(f"{name}.h5", "w") as file:
            file["data"] = noise
    limited(monkeypatch, Limits(700_000, (4, 64), 2))
    assert run(f"{STANDARD}:Mean") == 3
    line = told(capsys, here)
    assert "2048 objects: their features need about 0.00098 GB, 0.0007 GB are left" in line
    assert "--max_memory" in line
    limited(monkeypatch, Limits(2_000_000, (4, 64), 2))
    assert run(f"{STANDARD}:Mean") == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_a_skeleton_too_large_for_the_limits(here, monkeypatch, capsys, compiled):
    with h5py.File("seg.h5") as file:
        for name in ("flat", "pixels"):
            with h5py.File(f"{name}.h5", "w") as plane:
                plane["data"] = file["data"][12:13]
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled if compiled else None)
    limited(monkeypatch, Limits(50_000, (1, 8), 1))
    assert run("2D Skeleton Features", images=("pixels", "flat")) == 3
    assert "object 1 must be in memory as a whole, x 9 to 61, y 9 to 61: about" in told(capsys, here)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("which", ["seg", "raw"])
def test_a_chunk_that_is_damaged_amid_the_blocks(here, monkeypatch, capsys, which, jobs):
    with h5py.File(f"{which}.h5") as file:
        place = file["data"].id.get_chunk_info_by_coord((8, 32, 0))
    with open(f"{which}.h5", "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\xff" * place.size)
    for limits in (Limits(None, (3, 64), jobs), Limits(100_000, (3, 64), jobs)):
        limited(monkeypatch, limits)
        # a look at the segmentation comes before the run
        assert run(f"{STANDARD}:Mean") == (2 if which == "seg" else 3)
        line = told(capsys, here) if which == "raw" else capsys.readouterr().err
        assert f"{which}.h5" in line
        assert "damaged" in line


@pytest.mark.parametrize("jobs", [1, 3])
def test_scratch_that_is_full(here, monkeypatch, capsys, jobs):
    """Labels that the limits do not let stay in memory go to a file."""

    class Full(io.BytesIO):
        def write(self, packed):
            if self.tell() > 500:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(packed)

    monkeypatch.setattr(scratch, "TemporaryFile", lambda dir: Full())  # noqa: A006  as tempfile calls it
    limited(monkeypatch, Limits(100_000, (3, 64), jobs))
    assert run(f"{STANDARD}:Mean") == 3
    line = told(capsys, here)
    assert f"scratch data in {scratch.ScratchFolder().path}: No space left on device" in line
    assert "TMPDIR" in line


# ---------------------------------------------------------------------------- options


@pytest.mark.parametrize("text", ["400MB", "1GB", "1.5 GiB", "2g", "0.5T", "400000000", "500000KB"])
def test_sizes(here, text):
    assert run("regionprops:area", more=["--max_memory", text]) == 0


@pytest.mark.parametrize("text", ["399MB", "1", "GB", "-1GB", "1XB", "1.2.3GB", "", "nan", "1e99GB"])
def test_sizes_that_are_none(here, capsys, text):
    assert run("regionprops:area", more=[f"--max_memory={text}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--max_memory" in line
    assert "at least 400MB" in line


def test_blocks(here):
    found = []
    for text in (None, "1", "256", "z=3,y=64,x=64", "z=3,y=64", "z=1, y=7"):
        more = ["--block_shape", text, "--jobs", "2"] if text else []
        assert run("regionprops:area", "regionprops:intensity_mean", more=more) == 0
        found.append([(here / "out" / name).read_bytes() for name in ("t.csv", "ids.h5")])
        assert found[-1] == found[0], text


@pytest.mark.parametrize("text", ["0", "z=0,y=1", "y=3,z=1", "-4", "z=3", "3,4", "a", "", "1.5"])
def test_blocks_that_are_none(here, capsys, text):
    assert run("regionprops:area", more=[f"--block_shape={text}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--block_shape" in line
    assert "z=32,y=64,x=64" in line


@pytest.mark.parametrize("text", ["0", "-1", "1025", "two"])
def test_jobs_that_are_none(here, capsys, text):
    assert run("regionprops:area", more=[f"--jobs={text}"]) == 2
    assert "--jobs" in capsys.readouterr().err.splitlines()[-1]
