"""Images that workers paint and write: folders with the same files as those of one process."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from objclass.batch.distributed import DistributedEngine
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.request import Request
from objclass.batch.task import keep, run_task
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import PIXEL_ROLE, FeatureTable, Lane, Objects, Predictions
from objclass.export import images
from objclass.export.files import RunFiles
from objclass.export.images import PIXEL_SOURCES, SOURCES, plan_export
from objclass.export.naming import Output, Task
from objclass.export.sinks import ImageSink, PixelSink
from objclass.images import from_array, open_image
from objclass.images.chunked.grid import chunk_shape
from objclass.images.formats import n5, omezarr
from objclass.pipeline.inputs import computed
from objclass.pipeline.lane import Step
from objclass.pipeline.pairing import Inputs
from objclass.pixels.chain import PixelChain
from objclass.project.open import open_project
from objclass.project.pixel_model import PixelProject, PixelStage
from objclass.registry import output_format
from objclass.settings import EXPORT_DEFAULTS, ExportSettings
from tests.conftest import SAMPLES
from tests.contracts.test_writers import SHARED, content
from tests.pixels.test_prediction import classifier
from tests.workers import PickledWorkers

RNG = np.random.default_rng(4)

SHAPE = (2, 7, 18, 23)


@dataclass
class Labels:
    """A label image that is read by box, as from a disk that all workers see."""

    t: int
    shape = SHAPE[1:]

    def __getitem__(self, box: Any) -> Any:
        return LABELS[self.t][box]


LABELS = (np.arange(np.prod(SHAPE)).reshape(SHAPE) // 5 % 400 * (np.arange(SHAPE[2]) > 6)[:, None]).astype(
    np.uint32
)

PREDICTIONS = Predictions((RNG.random((400, 3)) / 3).astype(np.float32), ("a", "b", "c"))

STEPS = [
    Step(t, Objects(Labels(t), 400), FeatureTable(np.zeros(0, int), np.zeros(0, int), {}), PREDICTIONS)
    for t in range(SHAPE[0])
]  # fmt: skip

OBJECTS = Lane(None, from_array(LABELS, "tzyx"), "label_image", "a", "")

CHAIN = PixelChain((classifier(SHAPE[1], 2, known=(1, 3), rng=RNG),), "")

RAW = from_array(RNG.integers(0, 255, (*SHAPE, 2)).astype(np.uint8), "tzyxc")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 600)
    monkeypatch.setattr(omezarr, "CHUNKS_OF_TASK", 2)
    monkeypatch.setattr(n5, "chunk_shape", partial(chunk_shape, maximum=500))


def larger_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For files that are committed: each of them waits for the disk."""
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 40_000)
    monkeypatch.setattr(n5, "chunk_shape", partial(chunk_shape, maximum=40_000))


def sink_of(source: str, path: Path, name: str, **settings: Any) -> tuple[ImageSink, RunFiles, Output]:
    wanted = replace(EXPORT_DEFAULTS, output_format=name, **settings)
    if source in SOURCES:
        lane, channels = OBJECTS, 3 if source == "Object Probabilities" else 1
    else:
        lane = Lane(RAW, CHAIN.probabilities(RAW), PIXEL_ROLE, "a", "")
        channels = {"Probabilities": 3, "Features": CHAIN.features(RAW).shape[4]}.get(source, 1)
    export, _ = plan_export(source, lane, channels, wanted, None)
    kind = output_format(name)
    assert kind is not None
    output = Output(export, f"{path}{kind.suffix}", kind)
    task = Task(lane, "a", (output,), None)
    plan: Any = SimpleNamespace(pixels=CHAIN)
    sink = ImageSink(output) if source in SOURCES else PixelSink(output, task, plan)
    return sink, RunFiles([task]), output


def written(sink: ImageSink, run: RunFiles, output: Output, context: Context) -> dict[str, bytes]:
    files = run.lane(0)
    sink.begin(files, context)
    for step in STEPS:
        sink.step(step)
    sink.finish()
    sink.commit()
    found = content(Path(run.pending._parts[output.path]))  # to commit it would be to wait for the disk
    files.abort()
    run.close()
    return found


CASES: list[tuple[str, dict[str, Any]]] = [
    ("Object Identities", {}),
    ("Object Identities", {"export_dtype": "uint8", "output_axis_order": "xyzt"}),
    ("Object Predictions", {"cutout_subregion": ((1, 2, 7, 1, 0), (2, 22, 18, 6, 1))}),
    ("Object Predictions", {"output_axis_order": "cztyx", "export_dtype": "float32"}),
    ("Object Probabilities", {}),
    ("Object Probabilities", {"cutout_subregion": ((0, 0, 0, 0, 1), (2, 23, 17, 7, 3)), "export_dtype": "uint16",
                              "pipeline_result_drange": (0.0, 1.0), "export_drange": (0, 100_000)}),
    ("Probabilities", {"output_axis_order": "ctzyx", "cutout_subregion": ((1, 0, 0, 0, 0), (2, 23, 18, 7, 3))}),
    ("Simple Segmentation", {}),
    ("Uncertainty", {"cutout_subregion": ((1, 0, 3, 0, 0), (2, 19, 14, 7, 1))}),
    ("Features", {"cutout_subregion": ((1, 0, 0, 0, 0), (2, 23, 18, 7, 2))}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "source", "settings"),
    [(name, *case) for name in SHARED[1:3] for case in CASES]
    + [
        pytest.param(name, *case, marks=pytest.mark.slow)
        for name in SHARED[::3]
        for case in CASES
        if case[0] in SOURCES
    ]
    + [("hdf5", *CASES[0])],
)
def test_folders_are_the_same_whoever_paints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, name: str, source: str, settings: Any
) -> None:
    monkeypatch.setattr(images, "PART_BYTES", 3000 if source in SOURCES else 60_000)
    alone = written(*sink_of(source, tmp_path / "a", name, **settings), Context())
    said = caplog.text.replace("a.", "b.")
    caplog.clear()
    workers = PickledWorkers(len(name) + len(source))
    together = written(*sink_of(source, tmp_path / "b", name, **settings), Context().with_workers(workers))
    assert together == alone
    assert caplog.text == said  # of values that did not fit
    assert (workers.tasks > 1) == (name != "hdf5")


def test_all_sources_are_tested() -> None:
    assert {source for source, _ in CASES} == {*SOURCES, *PIXEL_SOURCES}


@pytest.mark.parametrize("memory", [None, 40_000])
def test_parts_are_made_of_whole_chunks(tmp_path: Path, memory: int | None) -> None:
    workers = PickledWorkers(count=5, limits=Limits(memory))
    export = sink_of("Object Probabilities", tmp_path / "a", "n5")[2].export
    parts = export._parts(workers, (2, 5, 4))
    voxels = np.zeros(SHAPE[1:], int)
    for part in parts:
        voxels[part] += 1
        assert all(p.start % side == 0 for p, side in zip(part, (2, 5, 4), strict=True))
        assert memory is None or np.prod([p.stop - p.start for p in part]) <= memory // 64
    assert (voxels == 1).all()
    assert len(parts) >= 2 * workers.count


def test_a_worker_that_cannot_write_ends_the_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the error that a full disk gives one process; nothing is left."""
    sink, run, _ = sink_of("Object Predictions", tmp_path / "a", "multi-scale OME-Zarr")
    files = run.lane(0)
    sink.begin(files, Context().with_workers(PickledWorkers()))
    sink.step(STEPS[0])

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("objclass.images.chunked.files.os.replace", full)
    with pytest.raises(OSError, match="No space left on device"):
        sink.step(STEPS[1])
    sink.abort()
    files.abort()
    run.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "path", "inside"),
    [("multi-scale OME-Zarr", "{result_type}", None), ("compressed n5", "all", "{result_type}")],
)
def test_a_whole_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str, inside: str | None
) -> None:
    """Of a project: all images, apart or in one container; raw data and labels in the layout of ngio."""
    larger_chunks(monkeypatch)
    raw, segmentation = (open_image(f"{SAMPLES}/{stem}.tif") for stem in ("cells", "cells_segmentation"))
    lane = Lane(raw, segmentation, "segmentation_image", "cells", str(tmp_path))
    export = ExportSettings(name, path, inside)
    project = open_project(str(SAMPLES / "cells.ilp"))
    assert_equal(Request(Inputs({}), export=export, sources=SOURCES), lane, project, "o.zarr")


@pytest.mark.parametrize("name", ["n5", "hdf5"])
def test_a_lane_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Workers compute its probabilities once; the images are made of these, whoever writes them."""
    larger_chunks(monkeypatch)
    lane = Lane(RAW, computed(CHAIN, RAW, None, None, None, Context()), PIXEL_ROLE, "a", str(tmp_path))
    project = PixelProject(
        "", "Pixel Classification", "1.4", (PixelStage(CHAIN.classifiers[0].features, CHAIN.classes),)
    )
    export = ExportSettings(name, "all", "{result_type}")
    assert_equal(Request(Inputs({}), export=export, sources=PIXEL_SOURCES), lane, project)


def assert_equal(request: Request, lane: Lane, project: Any, *objects: str) -> None:
    """All files of a lane, objects for other programs among them, are those of one process."""

    def run(name: str, run_one: Any) -> dict[str, bytes]:
        folder = f"{lane.directory}/{name}"
        export = replace(
            request.export, output_filename_format=f"{folder}/{request.export.output_filename_format}"
        )
        there = replace(request, export=export, objects=tuple(f"{folder}/{path}" for path in objects))
        plan = make_plan(there, [lane], project, CHAIN if lane.is_computed else None)
        [task] = plan_tasks(there, plan, [lane])
        files = RunFiles([task])
        keep(run_one(task, plan, files), lambda: None)
        files.close()
        return content(Path(folder))

    def together(task: Task, plan: Any, files: RunFiles) -> Any:
        engine: Any = DistributedEngine(workers, Context())  # type: ignore[arg-type]
        [result] = engine._together([(0, task)], plan, files)
        assert result.task is task
        return result

    workers = PickledWorkers()
    alone = run("a", lambda task, plan, files: run_task(task, plan, files.lane(0), Context()))
    assert run("b", together) == alone
    assert workers.tasks > 3
