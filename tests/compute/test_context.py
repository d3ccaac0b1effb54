"""What a run may use: two runs in one process keep to their own, and nothing is done twice or waits for ever."""

import contextlib
import io
import logging
import threading
import weakref
from collections import deque
from dataclasses import replace
from functools import partial

import h5py
import imagecodecs
import numpy as np
import pytest

from objclass import images, measure
from objclass.batch import schedule
from objclass.batch.request import Request
from objclass.cli import main
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.lru import ByteLRU
from objclass.errors import ImageError, Stop, TerminatedError
from objclass.images.chunked import packed
from objclass.images.formats import raster
from objclass.pipeline.pairing import Inputs
from objclass.settings import ExportSettings, ResourceSettings
from objclass.training.learn import train
from objclass.training.request import TrainingRequest

# ---------------------------------------------------------------------------- threads


def in_time(work, seconds=30):
    """What ``work`` returns; an error where it waits for ever."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it waits for ever"
    return found[0]


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_work_within_work_ends_and_keeps_its_order(jobs):
    context = Context(Limits(jobs=jobs))

    def tree(depth):
        return [depth, *context.ordered(tree, [depth - 1] * 3)] if depth else [0]

    assert in_time(lambda: tree(4)) == Context().threads.jobs * tree(4)


@pytest.mark.parametrize("ends", ["run", "cancel"])
def test_a_task_in_the_queue_of_a_busy_pool_holds_no_arrays(ends):
    """They were kept until a thread became free: memory grew with the image."""
    threads, busy = Context(Limits(jobs=2)).threads, threading.Event()
    tasks = [threads.begin(busy.wait) for _ in range(2)]
    array = np.zeros(9)
    gone = weakref.ref(array)
    task = threads.begin(partial(np.sum, array))
    del array
    getattr(task, ends)()
    assert gone() is None
    busy.set()
    assert [other.result() for other in tasks] == [True, True]


def test_no_more_threads_than_jobs_however_deep_the_work():
    context, lock, now, most = Context(Limits(jobs=2)), threading.Lock(), set(), set()

    def work(depth):
        with lock:
            now.add(threading.get_ident())
            most.update(now)
        if depth:
            list(context.ordered(work, [depth - 1] * 4))

    list(context.ordered(work, [3] * 4))
    assert len(most) <= 2 + 1  # and the one that waits for them


def test_a_run_stops_where_it_is_asked_to():
    context, done = Context(Limits(jobs=2)), []

    def ask(n):
        done.append(n)
        if n == 3:
            context.stop.ask()

    with pytest.raises(TerminatedError):
        deque(map(ask, context.ordered(lambda n: n, range(100))))
    assert done == [0, 1, 2, 3]
    Context().stop.check()


# ---------------------------------------------------------------------------- what is kept


def test_pixels_are_loaded_once_by_many_threads():
    cache, loads, gate = ByteLRU(1000), [], threading.Event()

    def load():
        loads.append(1)
        gate.wait(5)
        return np.zeros(10, np.uint8)

    threads = [threading.Thread(target=cache.get, args=("a", load)) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert (len(loads), cache.bytes) == (1, 10)


def test_what_failed_is_tried_again():
    cache = ByteLRU(1000)

    def fail():
        message = "no"
        raise ValueError(message)

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cache.get("a", fail)
    assert cache.get("a", lambda: np.ones(3)).sum() == 3
    assert cache.bytes == 24


def test_the_longest_unused_make_room():
    cache, loads = ByteLRU(25), []

    def get(key):
        return cache.get(key, lambda: loads.append(key) or np.zeros(10, np.uint8))

    for key in "abacab":
        get(key)
    assert loads == ["a", "b", "c", "b"]
    assert cache.bytes == 20


@pytest.mark.parametrize("jobs", [2, 3])
def test_chunks_that_slabs_share_are_unpacked_once(tmp_path, monkeypatch, jobs):
    pixels = np.random.default_rng(0).integers(0, 99, (32, 64, 64)).astype(np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=pixels, chunks=(16, 32, 32), compression="gzip")
    fetched, original = [], packed._packed
    monkeypatch.setattr(packed, "_packed", lambda d, p: fetched.append(p) or original(d, p))
    context = Context(Limits(jobs=jobs))
    image = images.open_image(f"{tmp_path}/a.h5", axes="zyx", context=context)
    one, rows, columns = slice(0, 1), slice(0, 64), slice(0, 64)
    slabs = [(one, slice(z, z + 2), rows, columns, one) for z in range(0, 32, 2)]
    found = in_time(lambda: list(context.ordered(image.read, slabs)))
    assert np.array_equal(np.concatenate(found, axis=1)[0, ..., 0], pixels)
    assert len(fetched) == 8


# ---------------------------------------------------------------------------- files that are decoded whole


def whole_files(folder, pixels):
    (folder / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    (folder / "a.jpg").write_bytes(imagecodecs.jpeg_encode(pixels))
    np.savez_compressed(folder / "a.npz", pixels)
    return [folder / "a.png", folder / "a.jpg", f"{folder}/a.npz"]


def test_a_file_that_is_decoded_whole_must_fit(tmp_path, monkeypatch):
    """That is known from its header: nothing is decoded."""
    pixels = np.zeros((100, 200), np.uint8)
    for name in ("_decode_png", "_decode_other"):
        monkeypatch.setattr(raster, name, None)
    monkeypatch.setattr("objclass.images.formats.numpy_file._unpacked", None)
    for path in whole_files(tmp_path, pixels):
        images.open_image(str(path), context=Context(Limits(memory=6 * pixels.size)))
        with pytest.raises(ImageError, match=r"can only be decoded whole.*2e-05 GB; 2e-05 GB.*--max_memory"):
            images.open_image(str(path), context=Context(Limits(memory=6 * pixels.size - 6)))


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_file_is_decoded_once_for_a_run(tmp_path, monkeypatch, jobs):
    raw, seg = np.random.default_rng(0).integers(0, 255, (2, 60, 50)).astype(np.uint8)
    paths = {}
    for role, pixels in (
        ("raw_data", raw),
        ("segmentation_image", (np.indices(seg.shape)[0] // 10 % 2).astype(np.uint8)),
    ):
        (tmp_path / f"{role}.png").write_bytes(imagecodecs.png_encode(pixels))
        paths[role] = [f"{tmp_path}/{role}.png"]
    decoded, decode = [], raster._decode_png
    monkeypatch.setattr(raster, "_decode_png", lambda path: decoded.append(path) or decode(path))
    monkeypatch.setattr("objclass.compute.context.limits_for", lambda _: Limits(6 * 3000, (1, 4), jobs))
    export = ExportSettings(output_format="numpy", output_filename_format=f"{tmp_path}/out")
    assert schedule.run(Request(Inputs(paths), export=export, features=("regionprops:intensity_mean",))) == 0
    assert sorted(decoded) == sorted(path for (path,) in paths.values())


# ---------------------------------------------------------------------------- two runs in one process


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A volume with compressed chunks."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    seg = np.kron(rng.random((8, 8, 8)) < 0.3, np.ones((3, 8, 8))).astype(np.uint8)
    for name, pixels in (("seg", seg), ("raw", rng.integers(0, 255, seg.shape).astype(np.uint8))):
        with h5py.File(f"{name}.h5", "w") as file:
            file.create_dataset("data", data=pixels, chunks=(8, 32, 32), compression="gzip")
    return tmp_path


def request(name):
    return Request(
        Inputs({"raw_data": ["raw.h5"], "segmentation_image": ["seg.h5"]}, axes=("zyx",)),
        export=ExportSettings(output_filename_format=f"{name}/ids"),
        table=f"{name}/t.csv",
        features=("regionprops:area", "regionprops:intensity_mean"),
        resources=ResourceSettings(jobs={"a": 1, "b": 3, "c": 2}[name]),
    )


def test_two_runs_in_two_threads_keep_to_their_own(here, monkeypatch):
    limits = {1: Limits(200_000, (2, 64), 1), 3: Limits(None, (5, 64), 3), 2: Limits(None, (5, 64), 2)}
    contexts, progress = {}, {name: [] for name in "abc"}
    monkeypatch.setattr("objclass.compute.context.limits_for", lambda resources: limits[resources.jobs])

    class Seen(Context):
        def __post_init__(self):
            super().__post_init__()
            contexts.setdefault(self.limits, self)

    monkeypatch.setattr(schedule, "Context", Seen)
    together, stop, ends = threading.Barrier(3), Stop(), {}

    def run(name):
        def told(lane, share):
            progress[name].append((lane, share))

        together.wait(10)
        try:
            ends[name] = schedule.run(request(name), told, stop if name == "c" else None)
        except TerminatedError:
            ends[name] = "stopped"

    stop.ask()
    threads = [threading.Thread(target=run, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ends == {"a": 0, "b": 0, "c": "stopped"}
    assert progress["c"] == []
    for name in "ab":
        assert progress[name] == sorted(progress[name])
        assert [lane for lane, share in progress[name] if share == 1] == ["raw"]
    small, large = contexts[limits[1]], contexts[limits[3]]
    assert small.chunks.maximum == 200_000 // 6
    assert small.chunks.bytes <= 200_000 // 6 < large.chunks.bytes
    for name in ("t.csv", "ids.h5"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()


def test_python_leaves_logs_warnings_and_pillow_alone(here):
    from PIL import Image as Pillow

    handler = logging.StreamHandler(io.StringIO())
    log = logging.getLogger("objclass")
    log.addHandler(handler)
    before = log.handlers[:], log.level, log.propagate, Pillow.MAX_IMAGE_PIXELS
    try:
        measure("seg.h5", "raw.h5", features="regionprops:area", axes="zyx", intensity_axes="zyx")
        assert before == (log.handlers, log.level, log.propagate, Pillow.MAX_IMAGE_PIXELS)
    finally:
        log.removeHandler(handler)


def test_images_larger_than_pillow_likes(tmp_path, monkeypatch):
    from PIL import Image as Pillow

    pixels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    Pillow.fromarray(pixels).save(tmp_path / "a.bmp")
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    assert np.array_equal(images.open_image(f"{tmp_path}/a.bmp").read()[0, 0, ..., 0], pixels)


# ---------------------------------------------------------------------------- in words of the user


def test_a_context_in_words_of_the_user():
    seen = []
    context = Context.of(ResourceSettings(3, 900_000_000), progress=lambda *told: seen.append(told))
    assert context.limits == Limits(600_000_000, None, 3)
    context.progress("a", 0.5)
    assert seen == [("a", 0.5)]
    assert Context.of().limits.jobs >= 1
    assert Context.of(ResourceSettings(jobs=2)).limits.jobs == 2


def training(name="p.ilp"):
    return TrainingRequest(
        name,
        Inputs({"raw_data": ["raw.h5"], "segmentation_image": ["seg.h5"]}, axes=("zyx",)),
        ["painted.npy"],
        features=("Standard Object Features:Mean", "Standard Object Features:Count"),
        trees=5,
        overwrite=True,
    )


def test_training_keeps_to_limits_and_gives_the_same_bytes(here):
    with h5py.File("seg.h5") as file:
        seg = file["data"][()]
    painted = seg.copy()
    painted[:10] *= 2
    np.save("painted.npy", painted * (np.indices(seg.shape)[2] % 8 < 3))
    progress, found = [], []
    few = Limits(100_000, (2, 64), 2)  # nothing stays in memory
    for context in (Context(), Context(few, lambda *told: progress.append(told))):
        train(training(), context)
        found.append((here / "p.ilp").read_bytes())
    assert found[0] == found[1]
    assert progress == [("raw", 1.0)]
    stopped = Context(few)
    stopped.stop.ask()
    with contextlib.suppress(TerminatedError):
        train(replace(training(), project="never.ilp"), stopped)
    assert not (here / "never.ilp").exists()


def test_training_takes_the_options_of_resources(here, capsys):
    arguments = ["train", "--project", "p.ilp", "--raw_data", "raw.h5", "--segmentation_image", "seg.h5",
                 "--labels", "painted.npy"]  # fmt: skip
    assert main([*arguments, "--max_memory", "1MB"]) == 2
    assert "--max_memory" in capsys.readouterr().err
