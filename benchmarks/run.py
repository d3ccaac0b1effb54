"""All targets of speed, side by side: prints one table in Markdown.

``python benchmarks/run.py [--only NAME …] [--rounds 5] [--big] [--folder FOLDER]``. Images and models are
made in a temporary folder, or once in ``--folder``. Linux; see ``docs/speed.md``.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile
from turns import Taken, by_turns, middle, process, short, shortest

HERE = Path(__file__).parent
LANES = 1000
VOXELS = {"A": 2048**2, "C": 256**3, "G": 256**3, "D": 512**3, "E": 1024**3}
PACKAGES = (
    "objclass", "numpy", "numba", "connected-components-3d", "h5py", "polars", "scikit-image", "scikit-learn",
    "pandas", "tifffile",
)  # fmt: skip
WITHOUT_NEIGHBOURHOOD = (
    "Count", "Coord<Minimum>", "Coord<Maximum>", "RegionCenter", "RegionRadii", "RegionAxes", "Sum", "Mean", "Minimum",
    "Maximum", "Variance", "Skewness", "Kurtosis", "Histogram", "Quantiles",
)  # fmt: skip
PIXEL_FEATURES = {
    "A": ("gaussian:0.3,0.7,1.6,3.5", "laplacian:0.7,1.6,3.5", "gradient:0.7,1.6,3.5", "dog:0.7,1.6,3.5"),
    "G": ("gaussian:0.7,1.6,3.5", "laplacian:1.6", "gradient:1.6", "hessian:1.6,3.5"),
}
"""13 channels in 2D, 11 in 3D."""
BOTH_IMAGES = (
    "--export_object_prediction_img", "--export_object_probability_img", "--output_format", "multipage tiff",
)  # fmt: skip


# ---------------------------------------------------------------------------- what the rows are made of


class Bench:
    """A folder with images and models, each made when it is first asked for; and how often to measure."""

    def __init__(self, folder, rounds, *, big):
        self.folder, self.rounds, self.big = folder.resolve(), rounds, big

    def images(self, size, kind="tif"):
        """Raw data and segmentation of a size."""
        process([sys.executable, HERE / "images.py", self.folder, kind, size])
        return [self.folder / f"{size}_{what}.{kind}" for what in ("raw", "seg")]

    def project(self, name, size):
        """A project: ``standard`` (Standard Object Features without neighbourhood) or ``all`` of ilastik's."""
        dims = 2 if size in "SAB" else 3
        path = self.folder / f"{name}{dims}.ilp"
        if not path.exists():
            features = [f"Standard Object Features:{feature}" for feature in WITHOUT_NEIGHBOURHOOD]
            if name == "all":
                more = ("2D Convex Hull Features", "2D Skeleton Features")
                features = ["Standard Object Features", *(more if dims == 2 else ["3D Convex Hull Features"])]
            labels = self.folder / "labels.csv"
            rows = [f"{i},{'abc'[i % 3]}" for i in range(1, 51)]
            labels.write_text("\n".join(["labelimage_oid,class", *rows]))
            raw, segmentation = self.images("S" if dims == 2 else "T")
            process([
                sys.executable, "-m", "objclass", "train", "--quiet", "--project", path, "--labels", labels,
                "--raw_data", raw, "--segmentation_image", segmentation, "--margin", 30 if dims == 2 else 1,
                "--features", *features,
            ])  # fmt: skip
            if name == "all" and dims == 3:
                process([sys.executable, HERE / "inside.py", "flat_margin", 0, path])
        return path

    def strokes(self, size):
        """Raw data and labelled pixels to train a pixel classifier for a size."""
        small = "S" if size in "SAB" else "T"
        process([sys.executable, HERE / "images.py", self.folder, "strokes", small])
        return [self.images(small)[0], self.folder / f"{small}_strokes.tif"]

    def pixel_project(self, size):
        """A pixel classification of background and objects, by 100 trees."""
        path = self.folder / f"pixels_{size}.ilp"
        if not path.exists():
            raw, strokes = self.strokes(size)
            process([
                sys.executable, "-m", "objclass", "train", "--pixels", "--quiet", "--project", path,
                "--raw_data", raw, "--labels", strokes, "--pixel_features", *PIXEL_FEATURES[size],
            ])  # fmt: skip
        return path

    def pixels(self, size, *options, project="--project", out="probabilities"):
        """The command of a pixel classification."""
        return [
            sys.executable, "-m", "objclass", "--headless", "--quiet", project, self.pixel_project(size),
            "--raw_data", self.images(size)[0], "--output_format", "multipage tiff",
            "--output_filename_format", self.folder / f"{out}_{{result_type}}", *options,
        ]  # fmt: skip

    def scikit_pixels(self, size):
        """The command of the alternative, with two threads."""
        model = self.folder / f"pixels_{size}.pkl"
        if not model.exists():
            process([sys.executable, HERE / "scikit.py", "learn", *self.strokes(size), model])
        return [
            sys.executable, HERE / "scikit.py", "pixels", model, self.images(size)[0], self.folder / "theirs.tiff"
        ]  # fmt: skip

    def run(self, size, *options, name="standard", kind="tif", out="ours"):
        """The command of a run: class image and table, unless options say more."""
        raw, segmentation = self.images(size, kind)
        return [
            sys.executable, "-m", "objclass", "--headless", "--quiet", "--project", self.project(name, size),
            "--raw_data", raw, "--segmentation_image", segmentation, "--table_filename", self.folder / f"{out}.csv",
            "--output_filename_format", self.folder / f"{out}_{{result_type}}", *options,
        ]  # fmt: skip

    def scikit(self, size, *more):
        """The command of the alternative."""
        model = self.folder / f"model{2 if size in 'SAB' else 3}{''.join(more)}.pkl"
        if not model.exists():
            images = self.images("A" if size in "SAB" else "C")
            process([sys.executable, HERE / "scikit.py", "train", *images, model, *more])
        return [
            sys.executable, HERE / "scikit.py", "predict", *self.images(size), model, self.folder / "theirs", *more,
        ]  # fmt: skip

    def compare(self, **commands):
        """Medians of whole processes that take turns, by name."""
        jobs = {name: partial(process, command) for name, command in commands.items()}
        return {name: middle(taken) for name, taken in by_turns(jobs, self.rounds).items()}

    def inside(self, job, size=None, pick=middle):
        """Medians (or another choice) of what takes turns within a process, by name."""
        if size is not None:
            self.images(size)
        command = [sys.executable, HERE / "inside.py", job, self.rounds, self.folder, size or "S"]
        found = json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True).stdout)
        return {name: pick([Taken(**taken) for taken in all_]) for name, all_ in found.items()}

    def seconds(self):
        """Seconds of the parts of the last run, as ``objclass_run.json`` has them."""
        lanes = json.loads((self.folder / "objclass_run.json").read_text())["lanes"]
        return lanes[0]["seconds"]


def row(what, ours, theirs, figure, least=None, most=None, unit="×"):
    """A row of the table; ``least`` or ``most`` is the target."""
    target, reached = "–", ""
    if least is not None:
        target, reached = f"≥ {least}{unit}", "yes" if figure >= least else "**no**"
    if most is not None:
        target, reached = f"≤ {most}{unit}", "yes" if figure <= most else "**no**"
    return f"| {what} | {ours} | {theirs} | {short(figure)}{unit} | {target} | {reached} |"


# ---------------------------------------------------------------------------- the rows


def standard(bench):
    """Standard features in memory, one core."""
    for size in "CD":
        found = bench.inside("standard", size)
        ours = found["objclass"]
        what = f"Standard features, warm, one core, {size}"
        for name, target in (("scikit-image", {"least": 40}), ("np.sum", {"most": 6})):
            theirs = found[name]
            figure = theirs.wall / ours.wall if "least" in target else ours.wall / theirs.wall
            told = "`regionprops_table`, same content" if "least" in target else "`np.sum` of raw and labels"
            yield row(what, ours, f"{told}: {theirs}", figure, **target)


def labelling(bench):
    """Components against cc3d."""
    for size in "BD":
        found = bench.inside("labelling", size)
        for way, most in (("whole", 1.1), ("blocks", 1.5)):
            ours, theirs = found[way], found["cc3d"]
            what = f"labelling, {'in ' if way == 'blocks' else ''}{way}, {size}"
            yield row(what, ours, f"cc3d: {theirs}", ours.wall / theirs.wall, most=most)


def forest(bench):
    """Prediction against scikit-learn."""
    found = bench.inside("forest")
    ours, theirs = found["objclass"], found["scikit-learn"]
    what = "forest, 40,000 rows × 100 columns × 100 trees"
    yield row(what, ours, f"`predict_proba`: {theirs}", theirs.wall / ours.wall, least=1)


def pixel_forest(bench):
    """Prediction of pixels against scikit-learn."""
    found = bench.inside("pixel_forest", pick=shortest)
    ours, theirs = (found[name].wall / 100_000 * 1e6 for name in ("objclass", "scikit-learn"))
    what = "forest of pixels, 13 columns × 100 trees of 400 nodes: µs a pixel and thread"
    yield row(what, short(ours), f"`predict_proba`: {short(theirs)}", ours, most=1, unit=" µs")


def passes(bench):
    """Passes of the pixel filters against scipy, ns a pixel."""
    yield from nanoseconds(
        bench.inside("passes", pick=shortest),
        "pass, one core, by dimensions, axis and radius",
        {"4": 1.5, "35": 6},
    )


def filters(bench):
    """Pixel filters against scipy's, ns a pixel."""
    yield from nanoseconds(
        bench.inside("filters", pick=shortest), "filter, one core, by dimensions and sigma", {}
    )


def pixels(bench):
    """Whole runs of pixel classification, one and two threads, and the script with two."""
    for size, most, past, image in (("A", 3, 18, "2048², 13 channels"), ("G", 9, 54, "256³, 11 channels")):
        found = bench.compare(
            two=bench.pixels(size, "--jobs", 2),
            one=bench.pixels(size, "--jobs", 1, out="one"),
            script=bench.scikit_pixels(size),
        )
        two, one, script = (found[name] for name in ("two", "one", "script"))
        what = f"pixels, whole run, cold, {image}, 100 trees"
        yield row(f"{what}, two threads", two, f"ilastik: {past} s", two.wall, most=most, unit=" s")
        yield row(f"{what}, two threads: peak memory", two, "–", two.peak / 1e6, unit=" MB")
        yield row(f"{what}, two threads", two, f"one: {one}", one.wall / two.wall, least=1.7)
        yield row(f"{what}, two threads", two, f"script: {script}", script.wall / two.wall)


def pixels_and_objects(bench):
    """From raw data to the table of ilastik's features of the objects."""
    options = (
        "--threshold", 0.5, "--channel", 1, "--min_size", 20, "--features", "Standard Object Features",
        "--table_filename", bench.folder / "cells.csv",
    )  # fmt: skip
    ours = bench.compare(ours=bench.pixels("A", *options, project="--pixel_project"))["ours"]
    what = "pixels and objects, whole run, cold, 2048², 13 channels, 100 trees"
    yield row(what, ours, "ilastik: 34 s", ours.wall, most=4, unit=" s")


def nanoseconds(found, what, most):
    """Rows of the least time for a pixel; targets by the last word of a name."""
    for name in (name.removesuffix(" objclass") for name in found if name.endswith("objclass")):
        pixels = 1024**2 if name.startswith("2D") else 104**3
        ours = found[f"{name} objclass"].wall / pixels * 1e9
        theirs = found.get(f"{name} scipy")
        against = f"scipy: {short(theirs.wall / pixels * 1e9)} ns" if theirs else "–"
        yield row(
            f"{what}: {name}", f"{short(ours)} ns", against, ours, most=most.get(name.split()[-1]), unit=" ns"
        )


def whole(bench):
    """Whole runs against the script, the same uncompressed files written."""
    for size, least in {"A": 6, "B": 10, "C": 5, "D": 5}.items():
        found = bench.compare(
            ours=bench.run(size, *BOTH_IMAGES),
            theirs=bench.scikit(size),
            more=bench.scikit(size, "more"),
        )
        ours, theirs, more = found.values()
        what = f"whole run, cold, {size}: class and probability image, table"
        script = "script without skewness, kurtosis, histogram, quantiles"
        yield row(what, ours, f"{script}: {theirs}", theirs.wall / ours.wall, least=least)
        yield row(what, ours, f"script with them: {more}", more.wall / ours.wall)


def regionprops(bench):
    """The set regionprops but for hulls."""
    found = bench.inside("regionprops", "A")
    ours, theirs = found["objclass"], found["scikit-image"]
    what = "set `regionprops` without hull and Feret, warm, one core, A"
    yield row(what, ours, f"`regionprops_table`: {theirs}", theirs.wall / ours.wall, least=5)


def jobs(bench):
    """Two threads against one."""
    for size in "BD":
        found = bench.compare(two=bench.run(size, "--jobs", 2), one=bench.run(size, "--jobs", 1, out="one"))
        two, one = found["two"], found["one"]
        what = f"whole run, cold, {size}, `--jobs 2`: class image, table"
        yield row(what, two, f"`--jobs 1`: {one}", one.wall / two.wall, least=1.6)


def overlap(bench):
    """Reading, computing and writing at once."""
    bench.images("D", "h5")
    bench.project("standard", "D")
    found = bench.inside("overlap", "D")
    ours = found.pop("whole")
    longest = max(found, key=lambda name: found[name].wall)
    parts = ", ".join(f"{name} {short(taken.wall)}" for name, taken in found.items())
    what = "run within a process, D from and to compressed HDF5"
    yield row(what, ours, f"the longest of: {parts} s", ours.wall / found[longest].wall, most=1.3)


def everything(bench):
    """All of ilastik's default features."""
    for size, most, past, image in (
        ("A", 1.5, "8.7", "2048², 2,000 objects, margin 30"),
        ("G", 3, "23.5", "256³, 1,500 objects, margin 30, 30, 1"),
    ):
        ours = bench.compare(ours=bench.run(size, *BOTH_IMAGES, name="all"))["ours"]
        what = f"whole run, cold, all of ilastik's default features, {image}"
        yield row(f"{what}: user time", ours, f"ilastik: {past} s", ours.user, most=most, unit=" s")
        if size == "A":
            peak = ours.peak / 1e6
            yield row(f"{what}: peak memory", ours, "ilastik: 727 MB", peak, most=350, unit=" MB")


def start(bench):
    """A small image."""
    for name, most, told in (("standard", 0.7, "Standard features"), ("all", 1.2, "all default features")):
        command = bench.run("S", *BOTH_IMAGES, name=name)
        ours = bench.compare(ours=command)["ours"]
        what = f"whole run, cold, 512², 150 objects, both images, {told}"
        yield row(what, ours, "ilastik: 4 s", ours.wall, most=most, unit=" s")
        if name == "standard":
            took = bench.seconds()
            compute = sum(took[part] for part in ("segment", "features", "classify"))
            parts = ", ".join(f"{part} {seconds:.3f}" for part, seconds in took.items())
            yield row(f"{what}: computing", f"{parts} s", "–", compute, most=0.1, unit=" s")


def lanes(bench):
    """Many small images in one process."""
    folder = bench.folder / "lanes"
    folder.mkdir(exist_ok=True)
    paths = {}
    for what, given in zip(("raw", "seg"), bench.images("S"), strict=True):
        paths[what] = [folder / f"{number:04}_{what}.tif" for number in range(LANES)]
        for path in paths[what]:
            path.unlink(missing_ok=True)
            os.link(given, path)
    common = [
        sys.executable, "-m", "objclass", "--headless", "--quiet", "--project", bench.project("standard", "S"),
        "--table_filename", folder / "table.csv", "--output_filename_format", folder / "{nickname}_{result_type}",
    ]  # fmt: skip
    commands = {
        name: [*common, "--raw_data", *paths["raw"][:n], "--segmentation_image", *paths["seg"][:n]]
        for name, n in (("many", LANES), ("one", 1))
    }
    found = bench.compare(**commands)
    many, one = found["many"], found["one"]
    each = (many.wall - one.wall) / (LANES - 1) * 1000
    what = f"{LANES} lanes of 512² in one process, class image and table: a lane beyond the first"
    yield row(what, many, f"one lane: {one}", each, most=60, unit=" ms")


def many_lanes(bench):
    """What a lane of a long batch adds: the slope from 1,000 to 10,000 lanes."""
    folder = bench.folder / "small"
    folder.mkdir(exist_ok=True)
    rng, seg = np.random.default_rng(0), np.zeros((64, 64), np.uint8)
    seg[5:15, 5:15] = seg[30:40, 20:50] = 1
    for number in range(10000):
        tifffile.imwrite(folder / f"{number}_raw.tif", rng.integers(0, 200, (64, 64)).astype(np.uint8))
        tifffile.imwrite(folder / f"{number}_seg.tif", seg)
    found = {}
    for count in (1000, 10000):
        lines = [f"{n}_raw.tif,{n}_seg.tif,lane{n}" for n in range(count)]
        manifest = folder / f"{count}.csv"
        manifest.write_text("\n".join(["raw_data,segmentation_image,nickname", *lines]))
        found[count] = process([
            sys.executable, "-m", "objclass", "--headless", "--quiet", "--jobs", 1, "--manifest", manifest,
            "--project", bench.project("standard", "S"), "--table_only", "--table_filename", folder / f"{count}_table.csv",
        ])  # fmt: skip
    few, many = found[1000], found[10000]
    what = "10,000 lanes of 64², table: a lane beyond the first 1,000"
    yield row(f"{what}: time", many, f"1,000 lanes: {few}", (many.wall - few.wall) / 9, unit=" ms")
    yield row(
        f"{what}: memory",
        many,
        f"1,000 lanes: {few.peak / 1e6:.0f} MB",
        (many.peak - few.peak) / 9e6,
        unit=" KB",
    )


def growth(bench):
    """Time per voxel at growing sizes."""
    sizes = "SGDE" if bench.big else "SGD"
    names = {"G": "256³", "D": "512³", "E": "1024³"}
    found = bench.compare(**{size: bench.run(size, kind="h5", out=size) for size in sizes})
    start = found.pop("S").wall
    each = {names[s]: (taken.wall - start) / VOXELS[s] * 1e9 for s, taken in found.items()}
    told = ", ".join(f"{name} {short(ns)}" for name, ns in each.items())
    what = "ns a voxel beyond the start (that of 512²), class image and table, HDF5"
    yield row(what, told, "the least of them", max(each.values()) / min(each.values()), most=1.3)


def memory(bench):
    """A volume larger than what it may use."""
    if bench.big:
        for size, name in (("E", "1024³"), ("F", "2048 × 1024 × 1024")):
            ours = middle([process(bench.run(size, "--max_memory", "1GB", kind="h5"))])
            what = f"{name}, `--max_memory 1GB`: peak memory"
            yield row(what, ours, "–", ours.peak / 1e9, most=1.2, unit=" GB")


def blocks(bench):
    """What cutting costs."""
    found = bench.compare(
        cut=bench.run("D", "--jobs", 1, "--block_shape", "z=8,y=512,x=512"),
        uncut=bench.run("D", "--jobs", 1, "--block_shape", "512", out="uncut"),
    )
    cut, uncut = found["cut"], found["uncut"]
    yield row("512³ in 64 blocks, one thread", cut, f"one block: {uncut}", cut.wall / uncut.wall, most=1.3)


def painting(bench):
    """Painting, one core; no target of its own."""
    found = bench.inside("painting", "D")
    for ours, theirs in (("classes", "lut[labels]"), ("probabilities", "channel by channel")):
        a, b = found[ours], found[theirs]
        yield row(f"painting {ours}, in memory, D", a, f"`lut[labels]`: {b}", b.wall / a.wall)


ROWS = (
    standard, labelling, forest, whole, regionprops, jobs, overlap, everything, start, lanes, many_lanes, growth, memory, blocks,
    painting, pixel_forest, passes, filters, pixels, pixels_and_objects,
)  # fmt: skip


# ---------------------------------------------------------------------------- the first time


def first_time():
    """Have all kernels compiled; answers how long that takes in a new installation."""
    compile_all = partial(process, [sys.executable, "-m", "objclass", "compile"], stdout=subprocess.DEVNULL)
    compile_all()
    with tempfile.TemporaryDirectory() as new:
        took = [compile_all(env=os.environ | {"OBJCLASS_CACHE_DIR": new}) for _ in range(2)]
    return took[0].wall - took[1].wall


def machine():
    """The processor, memory and versions."""
    cpu, memory = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(": ")[2]
        size = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
        memory = f", {size / 2**30:.0f} GiB"
    cores = len(os.sched_getaffinity(0))
    busy = os.getloadavg()[0]
    return f"{cpu}, {cores} cores{memory}, load {busy:.1f}; Python {platform.python_version()}, " + ", ".join(
        f"{name} {version(name)}" for name in PACKAGES
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    names = [make.__name__ for make in ROWS]
    parser.add_argument(
        "--only", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--big", action="store_true", help="with 1024³ and larger: 10 GB of disk")
    parser.add_argument("--folder", type=Path, help="keep images and models here")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, given.rounds, big=given.big)
        print(machine())
        print(f"Compiling all kernels, once in an installation: {first_time():.0f} s.\n", flush=True)
        print("| what | objclass | against | ratio or figure | target | reached |\n|---|---|---|---|---|---|")
        for make in ROWS:
            if make.__name__ in given.only:
                for line in make(bench):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
