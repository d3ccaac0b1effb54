"""The invariant: whatever the blocks, the memory, the threads and the formulation, the same bytes come out.

Whole runs on small random images, each once in one block by one thread, then cut at random; all files
are compared but the account of the run.
"""

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from objclass.batch import journal, request, schedule
from objclass.compute.kernels import Kernel
from objclass.compute.limits import Limits
from objclass.errors import OutputError
from objclass.features.contract import feature_set
from objclass.features.frame import Frame
from objclass.pipeline.pairing import Inputs
from objclass.project.open import open_project
from objclass.settings import ExportSettings, ProjectThreshold, ThresholdSettings
from objclass.training import learn
from objclass.training.request import TrainingRequest

SOURCES = ("Object Predictions", "Object Probabilities", "Object Identities")
STANDARD = "Standard Object Features"
SKIMAGE = {
    "t.h5": ("hull",),
    "t.csv": ("regionprops", "hull"),
    "t.tsv": ("regionprops", "parts", "radial", "texture"),
    "{nickname}.csv": (),
}
"""Name of the table -> other sets: one of HDF5 cannot have all columns."""
SHAPES = {2: ("2D Convex Hull Features", "2D Skeleton Features"), 3: ("3D Convex Hull Features",)}
FORMATS = (
    "hdf5", "compressed hdf5", "numpy", "multipage tiff", "png sequence", "tif sequence", "n5",
    "compressed n5", "single-scale OME-Zarr", "multi-scale OME-Zarr",
)  # fmt: skip

TINY = 20_000
"""Bytes that hold next to nothing: labels go to scratch, raw data are read anew."""


# ---------------------------------------------------------------------------- images


def blobs(rng, shape):
    noise = rng.random(shape)
    for axis in range(3):
        if shape[axis] > 1:
            noise = (noise + np.roll(noise, 1, axis) + np.roll(noise, -1, axis)) / 3
    return noise > np.quantile(noise, 0.6)


def ring(rng, shape):
    """Around the middle, where blocks have their corners, and something inside."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    far = sum((g - (n - 1) / 2) ** 2 for g, n in zip(grid, shape, strict=True))
    least = max(min(n for n in shape if n > 1) // 2 - 1, 1)
    return ((far < least**2) & (far > (least - 2) ** 2)) | (far < 2)


def cross(rng, shape):
    """One object that touches all faces."""
    mask = np.zeros(shape, bool)
    z, y, x = (int(rng.integers(n)) for n in shape)
    mask[z, y], mask[z, :, x], mask[:, y, x] = True, True, True
    return mask


def spiral(rng, shape):
    """One object that goes back and forth through all blocks."""
    mask = np.zeros(shape, bool)
    mask[:, ::2] = True
    for k, y in enumerate(range(1, shape[1] - 1, 2)):
        mask[:, y, -1 if k % 2 else 0] = True
    return mask


PATTERNS = {
    "blobs": blobs,
    "ring": ring,
    "cross": cross,
    "spiral": spiral,
    "full": lambda rng, shape: np.ones(shape, bool),
    "checkerboard": lambda rng, shape: np.indices(shape).sum(axis=0) % 2 == 0,
    "empty": lambda rng, shape: np.zeros(shape, bool),
    "noise": lambda rng, shape: rng.random(shape) < rng.random(),
    "one": lambda rng, shape: np.arange(np.prod(shape)).reshape(shape) == rng.integers(np.prod(shape)),
}


def pixels_of(rng, dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        pixels = (rng.standard_normal(shape) * 1000).astype(dtype)
        pixels[rng.random(shape) < 0.1] = 7
        return pixels
    bits = min(dtype.itemsize * 8, 40) - 1
    return rng.integers(0, 1 << int(rng.integers(1, bits + 1)), shape).astype(dtype)


def objects_of(rng, role, pattern, shape):
    """The image that says where objects are, axes tzyxc."""
    masks = np.stack([PATTERNS[pattern](rng, shape[1:4]) for _ in range(shape[0])])
    if role == "prediction_maps":
        noise = rng.random((*shape[:4], 2)) * 0.45
        sides = np.stack([masks, ~masks], axis=-1)
        return (noise + sides * 0.5).astype(np.float32)
    if role == "label_image":
        ids = rng.integers(1, [3, 60, 70_000][rng.integers(3)], masks.shape)
        rough = (ids[:, :, ::3, ::3]).repeat(3, axis=2).repeat(3, axis=3)[:, :, : shape[2], : shape[3]]
        return (masks * rough)[..., None].astype(rng.choice(["u4", "u8", "i4"]))
    values = rng.integers(1, 3, masks.shape) if rng.integers(2) else 1
    return (masks * values)[..., None].astype(rng.choice(["u1", "u2", "f4", "i8"]))


AXES_OF = {"tif": "tzcyx"}
"""Kind of file -> axes, where they are not tzyxc."""


def store(path, pixels, kind, rng):
    """A file of this kind; answers its name."""
    name = f"{path}.{kind}"
    if kind == "npy":
        np.save(name, pixels)
    elif kind == "tif":
        planes = pixels.transpose(0, 1, 4, 2, 3)
        tifffile.imwrite(name, planes, metadata={"axes": "TZCYX"}, tile=(16, 16), photometric="minisblack")
    else:
        chunks = tuple(int(rng.integers(1, n + 1)) for n in pixels.shape)
        with h5py.File(name, "w") as file:
            file.create_dataset(
                "data", data=pixels, chunks=chunks, compression=[None, "gzip"][rng.integers(2)]
            )
    return name


# ---------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Case:
    """A run, but for how it is done."""

    seed: int
    role: str
    pattern: str
    shape: tuple[int, int, int, int]
    channels: int
    dtype: str
    method: str
    smooth: float
    sizes: tuple[int, int | None]
    trained: bool
    format: str
    table: str
    kind: str

    @property
    def ndim(self):
        return 3 if self.shape[1] > 1 else 2

    @property
    def threshold(self):
        if self.role != "prediction_maps":
            return {}
        least, most = self.sizes
        return {
            "threshold": 0.5,
            "core_threshold": 0.7,
            "core_channel": self.seed % 2,
            "smooth": self.smooth,
            "min_size": least,
            "max_size": most,
            "method": self.method,
        }


@dataclass(frozen=True)
class Way:
    """How a run is done."""

    limits: Limits
    kernels: int | None = None
    """Which call is the first to be compiled; None for none."""


numbers = st.integers(0, 2**31)
lengths = st.integers(1, 9)
flat = st.tuples(st.just(1), st.just(1), st.integers(4, 40), st.integers(4, 40))
deep = st.tuples(st.just(1), st.integers(2, 9), st.integers(3, 14), st.integers(3, 14))
times = st.tuples(st.integers(2, 3), st.sampled_from([1, 1, 4]), st.integers(3, 14), st.integers(3, 14))
cases = st.builds(
    Case,
    numbers,
    st.sampled_from(["segmentation_image", "label_image", "prediction_maps"]),
    st.sampled_from(list(PATTERNS)),
    st.one_of(flat, deep, times),
    st.integers(1, 2),
    st.sampled_from(["u1", "u2", "f4", "f8", "i4", "i8"]),
    st.sampled_from(["simple", "hysteresis"]),
    st.sampled_from([0.0, 0.8, 2.2]),
    st.sampled_from([(0, None), (3, None), (2, 30)]),
    st.booleans(),
    st.sampled_from(FORMATS),
    st.sampled_from(list(SKIMAGE)),
    st.sampled_from(["h5", "h5", "npy", "tif"]),
)
limits = st.builds(
    Limits,
    st.sampled_from([None, 0, TINY, 10 * TINY]),
    st.none() | st.tuples(st.integers(1, 6), st.integers(1, 12)),
    st.integers(1, 4),
)
ways = st.builds(Way, limits, st.sampled_from([None, None, 0, 3, 10]))


@contextmanager
def in_this_way(way):
    """Limits that no option allows, and compiled code where it would not repay."""
    seen = 0

    def choose(kernel, work):
        nonlocal seen
        seen += 1
        return kernel.compiled if way.kernels is not None and seen > way.kernels else None

    def limits_for(resources):
        return way.limits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("objclass.compute.context.limits_for", limits_for)
        patch.setattr(Kernel, "choose", choose)
        # what an object needs whole is let through: how that is refused is tested elsewhere
        patch.setattr(Frame, "check_boxes", lambda *_, **__: None)
        patch.setattr("objclass.pipeline.lane.check_count", lambda *_: None)
        yield


def features_of(ndim, channels):
    """All that there are of ilastik's, those of the neighbourhood too."""
    all_of_them = feature_set(STANDARD).items()
    return (*(f"{STANDARD}:{k}" for k, f in all_of_them if f.fits(ndim, channels)), *SHAPES[ndim])


@cache
def trained(folder, ndim, channels):
    """A project trained on noise in squares; answers its path."""
    rng = np.random.default_rng(1)
    z, path = (4 if ndim == 3 else 1), f"{folder}/of_{ndim}_{channels}"
    squares = np.kron(np.ones((5, 5), np.uint8), np.pad(np.ones((5, 5), np.uint8), 2))
    objects = np.broadcast_to(squares, (1, z, *squares.shape))[..., None]
    names = [f"{path}_{role}.npy" for role in ("raw", "objects")]
    for name, pixels in zip(
        names, (pixels_of(rng, "u1", (*objects.shape[:4], channels)), objects), strict=True
    ):
        np.save(name, pixels)
    labels = Path(f"{path}.csv")
    labels.write_text("".join(["class,labelimage_oid\n", *(f"{'ab'[n % 2]},{n}\n" for n in range(1, 26))]))
    roles = dict(zip(("raw_data", "segmentation_image"), ([name] for name in names), strict=True))
    features = features_of(ndim, channels)
    learn.train(
        TrainingRequest(
            f"{path}.ilp", Inputs(roles, ("tzyxc",)), [str(labels)], (), ProjectThreshold(), features, 3, 5, 0
        )
    )
    return f"{path}.ilp"


def project_for(case, folder):
    """A project that cuts as the case says."""
    project = open_project(trained(folder, case.ndim, case.channels))
    stated = case.threshold
    if stated:
        stated["sigmas"] = (case.smooth, case.smooth, case.smooth)
    return replace(project, role=case.role, threshold=ProjectThreshold(**stated))


def request_for(case, folder):
    """Make the inputs: two lanes, of which one is the other turned about."""
    rng = np.random.default_rng(case.seed)
    raw = pixels_of(rng, case.dtype, (*case.shape, case.channels))
    objects = objects_of(rng, case.role, case.pattern, case.shape)
    kinds = [case.kind, "h5" if objects.dtype.itemsize == 8 else case.kind]
    raws = [store(folder / "a", raw, kinds[0], rng), store(folder / "b", raw[:, :, ::-1], kinds[0], rng)]
    seconds = [
        store(folder / "a_objects", objects, kinds[1], rng),
        store(folder / "b_objects", objects[:, ::-1], kinds[1], rng),
    ]
    sources = SOURCES if case.trained else SOURCES[2:]
    if "sequence" in case.format:  # whose files have no room for a channel of each class
        sources = sources[::2]
    return request.Request(
        Inputs({"raw_data": raws, case.role: seconds}, tuple(AXES_OF.get(kind, "tzyxc") for kind in kinds)),
        "project" if case.trained else None,
        sources=sources,
        threshold=ThresholdSettings(**({} if case.trained else case.threshold)),
        features=() if case.trained else (*SKIMAGE[case.table], *features_of(case.ndim, case.channels)),
        margin=3,
        table_images=case.table == "t.h5",
    )


def done(request, case, folder):
    """Run; all that was written, by name."""
    index = "_{slice_index}" if "sequence" in case.format else ""
    name = f"{folder}/{{nickname}}_{{result_type}}{index}"
    dtype = "uint8" if case.format.startswith("png") else None
    export = ExportSettings(output_format=case.format, output_filename_format=name, export_dtype=dtype)
    request = replace(request, export=export, table=f"{folder}/{case.table}")
    assert schedule.run(request) == 0
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != journal.RUN_FILE]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def writable(case):
    """The same run with a format that can hold it."""
    if "sequence" in case.format and sum(n > 1 for n in case.shape[:2]) != 1:
        return replace(case, format="compressed hdf5")
    return case


def holds(case, others, folder):
    """Run it plainly, then in other ways, and compare."""
    case = writable(case)
    here = folder.mktemp("case")
    request = request_for(case, here)
    project = project_for(case, folder.getbasetemp()) if case.trained else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "open_any", lambda path: project)
        with in_this_way(Way(Limits())):
            try:
                first = done(request, case, folder.mktemp("plain"))
            except OutputError:  # ids of 64 bits as TIFF, for one
                reject()
        assert len(first) > 2
        for way in others:
            with in_this_way(way):
                found = done(request, case, folder.mktemp("cut"))
            assert found.keys() == first.keys()
            for name, content in first.items():
                assert found[name] == content, (name, way)


COMMON = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # making a case smaller takes minutes
)


@settings(COMMON, max_examples=3)
@given(case=cases, others=st.tuples(ways, ways))
def test_blocks_change_nothing(tmp_path_factory, case, others):
    holds(case, others, tmp_path_factory)


@pytest.mark.slow
@settings(COMMON, max_examples=400, derandomize=False)
@given(case=cases, others=st.tuples(ways, ways, ways))
def test_blocks_change_nothing_at_length(tmp_path_factory, case, others):
    holds(case, others, tmp_path_factory)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "marked"),
    [
        (("cli", "export", "training", "test_chaining.py"), "not slow"),
        (("test_golden.py", "test_golden_small.py"), "slow or not slow"),
    ],
)
def test_all_runs_of_the_tests_in_tiny_blocks(names, marked):
    """The command line, and ilastik's own answers where they are at hand; some minutes."""
    folder = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tiny_blocks", "-m", marked]
    done = subprocess.run(
        [*command, *(str(folder / name) for name in names)],
        cwd=folder.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
