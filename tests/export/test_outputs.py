"""Where outputs go: names, folders that are outputs, servers, collisions, what a failure leaves."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from objclass import registry
from objclass.compute.context import Context
from objclass.core import AXES, Lane, Objects
from objclass.errors import OutputError, UsageError
from objclass.export import atomic
from objclass.export.atomic import Pending, check_writable
from objclass.export.checks import check_collisions
from objclass.export.files import RunFiles
from objclass.export.images import Export, cast_pixels
from objclass.export.naming import Task, expand, plan_output, with_suffix
from objclass.export.sinks import ImageSink
from objclass.images import from_array
from objclass.images.writer import OutputImage
from objclass.pipeline.lane import Step
from objclass.pipeline.plan import Plan
from objclass.registry import ImageFormat, OutputFormat, image_format
from objclass.settings import EXPORT_DEFAULTS, ExportSettings


class FolderContainer:
    """A folder that holds several datasets, as N5."""

    def __init__(self, path):
        self.path = path
        Path(path).mkdir()

    def flush(self):
        pass

    def mark(self):
        pass

    def undo(self):
        pass

    def close(self, previous=None):
        for file in Path(previous).iterdir() if previous else ():
            if not (Path(self.path) / file.name).exists():
                (Path(self.path) / file.name).write_bytes(file.read_bytes())

    def abort(self):
        pass


class FolderWriter:
    """A format of a folder that holds several datasets."""

    chunks = (1,) * 4

    container = FolderContainer

    def __init__(self, container, image, context=None):
        self.folder = Path(container.path)
        self.name = image.internal_path

    @classmethod
    def refusal(cls, image):
        return None

    @classmethod
    def clash(cls, previous, image):
        return None

    def write(self, region, block):
        (self.folder / self.name).write_text(str(block.sum()))

    def close(self):
        pass

    def abort(self):
        pass


class ServerWriter:
    """A format without files, as DVID."""

    chunks = (1,) * 4

    sent: list = []  # noqa: RUF012

    def __init__(self, path, image, context=None):
        self.sent.append(path)

    @classmethod
    def refusal(cls, image):
        return None

    def close(self):
        pass

    def write(self, region, block):
        self.sent.append(int(block.sum()))


@pytest.fixture(autouse=True)
def formats(monkeypatch):
    outputs = (
        *(OutputFormat(f"a {name}", f".{name}", FolderWriter) for name in ("n5", "zarr")),
        OutputFormat("a server", "", ServerWriter),
    )
    formats = (*registry.IMAGE_FORMATS, ImageFormat("of the test", outputs=outputs))
    monkeypatch.setattr(registry, "IMAGE_FORMATS", formats)


def lane(nickname="cells", directory="/data"):
    return Lane(
        None, from_array(np.ones((3, 20, 30), np.uint8), "zyx"), "segmentation_image", nickname, directory
    )


def planned(base, name, pattern="out", **more):
    settings = ExportSettings(output_format=name, output_filename_format=pattern, **more)
    return plan_output("Object Identities", lane(), Plan((), ()), settings.over(EXPORT_DEFAULTS), base)


@contextmanager
def lane_of(output, value=1):
    """The files of a run of one lane that is painted, but not committed."""
    run = RunFiles([Task(lane(), "cells", (output,), None)])
    files = run.lane(0)
    sink = ImageSink(output)
    try:
        sink.begin(files, Context())
        sink.step(Step(0, Objects(np.full((3, 20, 30), value, np.uint32), value), None, None))
        sink.finish()
        yield files
    finally:
        sink.abort()
        files.abort()
        run.close()


def write(output, value=1):
    with lane_of(output, value) as files:
        files.commit(lambda: None)


# --- folders


def test_a_folder_takes_its_name_at_the_end(tmp_path):
    output = planned(tmp_path, "a n5", output_internal_path="new")
    assert output.path == f"{tmp_path}/out.n5"
    with lane_of(output) as files:
        assert not os.path.exists(output.path)
        files.commit(lambda: None)
    assert (tmp_path / "out.n5/new").read_text() == "1800"
    assert os.listdir(tmp_path) == ["out.n5"]


def test_a_folder_of_several_datasets_keeps_the_others(tmp_path):
    (tmp_path / "out.n5").mkdir()
    (tmp_path / "out.n5/old").write_text("kept")
    (tmp_path / "out.n5/new").write_text("replaced")
    output = planned(tmp_path, "a n5", output_internal_path="new")
    check_collisions([Task(lane(), "cells", (output,), None)], [])
    write(output)
    assert {p.name: p.read_text() for p in (tmp_path / "out.n5").iterdir()} == {"old": "kept", "new": "1800"}
    assert os.listdir(tmp_path) == ["out.n5"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "out.n5").mkdir()
    (tmp_path / "out.n5/old").write_text("kept")
    output = planned(tmp_path, "a n5", output_internal_path="new")
    with pytest.raises(KeyboardInterrupt), lane_of(output):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["out.n5"]
    assert os.listdir(tmp_path / "out.n5") == ["old"]


def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "out.n5").mkdir()
    (tmp_path / "out.n5/old").write_text("kept")
    output = planned(tmp_path, "a n5", output_internal_path="new")
    replace = os.replace

    def failing(source, target):
        if target == output.path and not str(source).split(os.sep)[-1].startswith("aside"):
            message = "no"
            raise OSError(message)
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no"):
        write(output)
    assert os.listdir(tmp_path) == ["out.n5"]
    assert os.listdir(tmp_path / "out.n5") == ["old"]


def test_a_link_to_a_folder_is_replaced_not_followed(tmp_path):
    (tmp_path / "real.n5").mkdir()
    (tmp_path / "real.n5/old").write_text("kept")
    (tmp_path / "out.n5").symlink_to(tmp_path / "real.n5")
    write(planned(tmp_path, "a n5", output_internal_path="new"))
    assert os.listdir(tmp_path / "real.n5") == ["old"]
    assert sorted(os.listdir(tmp_path / "out.n5")) == ["new", "old"]


def test_an_ome_zarr_that_is_there_is_refused(tmp_path):
    (tmp_path / "out.zarr").mkdir()
    task = Task(lane(), "cells", (planned(tmp_path, "a zarr"),), None)
    with pytest.raises(OutputError, match=r"out\.zarr exists already: remove it, or give another name"):
        check_collisions([task], [])
    (tmp_path / "out.zarr").rmdir()
    check_collisions([task], [])


@pytest.mark.parametrize("name", ["n5", "zarr"])
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, name):
    (tmp_path / f"out.{name}").write_text("")
    with pytest.raises(OutputError, match="is a file, expected a folder or none"):
        check_writable(f"{tmp_path}/out.{name}", image_format(f".{name}"))


def test_inputs_within_an_output_folder_are_refused(tmp_path):
    task = Task(lane(), "cells", (planned(tmp_path, "a n5"),), None)
    with pytest.raises(OutputError, match="would overwrite an input"):
        check_collisions([task], [f"{tmp_path}/out.n5/raw"])
    check_collisions([task], [f"{tmp_path}/out.n5x"])


# --- servers


def test_a_url_needs_no_name_here(tmp_path, monkeypatch):
    monkeypatch.setattr(ServerWriter, "sent", [])
    output = planned(tmp_path, "a server", "http://host:8000/api/node/abc/{nickname}.x")
    assert output.path == "http://host:8000/api/node/abc/cells.x"
    check_collisions([Task(lane(), "cells", (output,), None)], [])
    write(output)
    assert ServerWriter.sent == [output.path, 1800]
    assert os.listdir(tmp_path) == []
    with pytest.raises(OutputError, match="both Object Identities of a and Object Identities of b"):
        check_collisions([Task(lane(), name, (output,), None) for name in "ab"], [])


def test_a_server_is_named_by_its_url(tmp_path):
    with pytest.raises(UsageError, match="out.*is written to a server: expected a URL"):
        planned(tmp_path, "a server")


# --- sequences


def test_files_of_a_sequence(tmp_path):
    output = planned(tmp_path, "png sequence", "{slice_index}/{nickname}", export_dtype="uint8")
    assert output.files == tuple(f"{tmp_path}/{n}/cells.png" for n in range(3))
    assert output.path == f"{tmp_path}/{{slice_index}}/cells.png"
    write(output)
    assert all(os.path.isfile(path) for path in output.files)
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]


def test_a_sequence_where_something_is_in_the_way(tmp_path):
    (tmp_path / "1.png").mkdir()
    output = planned(tmp_path, "png sequence", "{slice_index}", export_dtype="uint8")
    with pytest.raises(OutputError, match=r"1\.png is a folder"):
        check_collisions([Task(lane(), "cells", (output,), None)], [])


@pytest.mark.parametrize("pattern", ["out", "{slice_indexx}", "{slice_index:.0s}"])
def test_a_sequence_needs_numbers(tmp_path, pattern):
    with pytest.raises(UsageError, match="slice_index"):
        planned(tmp_path, "png sequence", pattern, export_dtype="uint8")


def test_numbers_of_slices_are_for_sequences(tmp_path):
    assert planned(tmp_path, "hdf5", "a{slice_index}").path == f"{tmp_path}/a{{slice_index}}.h5"


# --- names


def test_names_that_hold_what_patterns_hold(tmp_path):
    odd = lane("~{x_start}.v1 {slice_index}", "/data/{nickname}")
    settings = ExportSettings(output_filename_format="{dataset_dir}/{nickname}").over(EXPORT_DEFAULTS)
    output = plan_output("Object Identities", odd, Plan((), ()), settings, tmp_path)
    assert output.path == "/data/{nickname}/~{x_start}.v1 {slice_index}.h5"
    settings = ExportSettings(output_filename_format="{nickname}").over(EXPORT_DEFAULTS)
    output = plan_output("Object Identities", odd, Plan((), ()), settings, tmp_path)
    assert output.path == f"{tmp_path}/~{{x_start}}.v1 {{slice_index}}.h5"


@pytest.mark.parametrize("suffix", ["h5", "n5", "zarr", "ras", "xv", "hdr", "TIF", "npy"])
def test_known_suffixes_are_replaced(suffix):
    assert with_suffix(f"a.b.{suffix}", ".png") == "a.b.png"
    assert with_suffix("a.001", ".png") == "a.001.png"


def test_placeholders_stay_that_nobody_knows():
    assert expand("{a}{b:03}{{x}}", {"a": 1}) == "1{b:03}{x}"


# --- what is left of failures


def test_pending_files_are_removed(tmp_path):
    pending = Pending()
    Path(pending.add(f"{tmp_path}/a/b.txt")).write_text("half")
    folder = Path(pending.add_slices([f"{tmp_path}/{n}.png" for n in range(3)]))
    folder.mkdir()
    (folder / "0").write_text("half")
    pending.discard()
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert os.listdir(tmp_path) == ["a"]


# --- values


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (np.array([0, 255, 256, 70000], np.uint32), "u1", [0, 255, 0, 112]),
        (np.array([1.9, -1.9, 256.5, np.nan], np.float32), "u1", [1, 255, 0, 0]),
        (np.array([1.9, -1.9, 200], np.float32), "i1", [1, -1, -56]),
        (np.array([3e9, 2**32 + 5], np.float64), "u4", [3_000_000_000, 5]),
        (np.array([200], np.uint8), "f4", [200]),
    ],
)
def test_casts(values, dtype, expected):
    assert cast_pixels(values, np.dtype(dtype)).tolist() == expected


@pytest.mark.parametrize(
    ("pixels", "dtype", "ranges", "count"),
    [
        (np.array([0, 255], np.uint32), "u1", None, 0),
        (np.array([0, 256, 300], np.uint32), "u1", None, 2),
        (np.array([100, 128], np.uint8), "i1", None, 1),
        (np.array([0.5, 0.9, 1], np.float32), "u1", None, 0),
        (np.array([0, 0.5, 1], np.float32), "u1", ((0, 1), (-1, 300)), 2),
        (np.array([1 << 24, (1 << 24) + 1], np.uint32), "f4", None, 1),
        (np.array([0.1], np.float64), "f4", None, 0),
    ],
)
def test_what_does_not_fit_is_counted(pixels, dtype, ranges, count):
    image = OutputImage("x", pixels.shape, np.dtype(dtype))
    export = Export("Object Identities", image, (slice(0, 1),) * len(AXES), *(ranges or (None, None)))
    export._convert(pixels)
    assert sum(export.misfits) == count


@pytest.mark.parametrize("template", ["{x_start:0999999999}", "{nickname:>1000000}", "{x_start:.99999999f}"])
def test_widths_of_placeholders_are_bounded(template):
    with pytest.raises(UsageError, match="wider than 255 characters"):
        expand(template, {"nickname": "a", "x_start": 7})


def test_a_signal_while_a_workspace_is_made_leaves_nothing(tmp_path, monkeypatch):
    """It takes effect when the workspace is known to those who remove it."""
    made = atomic.mkdtemp

    def interrupted(*args):
        path = made(*args)
        signal.raise_signal(signal.SIGINT)
        return path

    monkeypatch.setattr(atomic, "mkdtemp", interrupted)
    pending = Pending()
    with pytest.raises(KeyboardInterrupt):
        pending.add(str(tmp_path / "a.csv"))
    pending.discard()
    assert list(tmp_path.iterdir()) == []
