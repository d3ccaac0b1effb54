"""What is compared within a process: no start, no files but where that is said. Prints JSON.

``python inside.py JOB ROUNDS FOLDER [SIZE]``: ``run.py`` calls it so.
"""

import argparse
import json
import sys
import warnings
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from turns import by_turns, call

from objclass import images
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.task import LaneResult, keep
from objclass.compute import kernels
from objclass.compute.context import Context
from objclass.compute.limits import Limits, limits_for
from objclass.core import Lane
from objclass.export.files import RunFiles
from objclass.export.sinks import sinks_of
from objclass.features.contract import choose
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.lane import run_lane
from objclass.project import open_project
from objclass.segmentation.find import find_objects
from objclass.segmentation.labelling import label

HULL = ("area_convex", "solidity", "feret_diameter_max")


def pixels(folder, size):
    """Raw data and segmentation, both z, y, x."""
    import tifffile
    from images import SIZES

    shape = SIZES[size][0]
    return [tifffile.imread(folder / f"{size}_{what}.tif").reshape(shape) for what in ("raw", "seg")]


def frame_of(raw, segmentation):
    """What `measure` takes."""
    objects = label(segmentation)
    return Frame(objects, lambda box: raw[box][..., None], 1, (1.0,) * objects.ndim)


def regionprops_table(frame, raw, names, extra=None):
    """The table of scikit-image, ready to be called."""
    from skimage.measure import regionprops_table

    labels = frame.objects.labels.squeeze().astype(np.int32)

    def make():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regionprops_table(labels, raw.squeeze(), names, extra_properties=extra)

    return make


def loaded_kernels():
    """Have kernels do all work from now on, as where they have long been loaded."""
    kernels.Kernel.choose = lambda self, *_: self.compiled


def standard(folder, size):
    """Standard Object Features, warm, one thread."""
    from scikit import BASIC, MORE

    loaded_kernels()
    raw, segmentation = pixels(folder, size)
    frame = frame_of(raw, segmentation)
    features = [f for f in choose(["Standard Object Features"], frame.objects.ndim, 1) if f.scope == "object"]
    return {
        "objclass": lambda: measure(frame, features),
        "np.sum": lambda: (raw.sum(), frame.objects.labels.sum()),
        "scikit-image": regionprops_table(frame, raw, BASIC, MORE),
    }


def regionprops(folder, size):
    """The set regionprops but for hulls, warm, one thread."""
    from objclass.features.sets.regionprops import FEATURES

    loaded_kernels()
    raw, segmentation = pixels(folder, size)
    frame = frame_of(raw, segmentation)
    features = [f for f in FEATURES.values() if f.fits(frame.objects.ndim, 1) and f.name not in HULL]
    return {
        "objclass": lambda: measure(frame, features),
        "scikit-image": regionprops_table(frame, raw, [f.name for f in features]),
    }


def labelling(folder, size):
    """Components, whole and in blocks, one thread, of an array."""
    import cc3d

    loaded_kernels()
    segmentation = pixels(folder, size)[1]
    lane = Lane(None, images.from_array(segmentation, "zyx"), "segmentation_image", "", "")
    flat = segmentation.squeeze()
    whole = Context(Limits(block=segmentation.shape[:2]))
    return {
        "whole": lambda: find_objects(lane, 0, None, whole),
        "blocks": lambda: find_objects(lane, 0, None, Context()),
        "cc3d": lambda: cc3d.connected_components(flat, connectivity=2 * flat.ndim, out_dtype=np.uint32),
    }


def forest(*_):
    """Prediction: 40,000 rows × 100 columns × 100 trees, 5 classes."""
    from sklearn.ensemble import RandomForestClassifier

    from objclass.forest import fit

    rng = np.random.default_rng(0)
    known, asked = (rng.normal(size=(n, 100)).astype(np.float32) for n in (1000, 40_000))
    classes = 1 + np.digitize(known[:, 0] + known[:, 1] * known[:, 2], [-1, -0.3, 0.3, 1])
    theirs = RandomForestClassifier(100, random_state=0).fit(known, classes)
    ours, _ = fit(known, classes, 5, 100, 0)
    return {"objclass": lambda: ours.predict(asked), "scikit-learn": lambda: theirs.predict_proba(asked)}


def noise(shape):
    """Pixels that are smooth here and ragged there, float32."""
    return np.random.default_rng(0).random(shape).astype(np.float32) * 255


def passes(*_):
    """A pass of a filter over a plane of 1024² and a volume of 104³, by axis and radius; scipy's beside."""
    from scipy.ndimage import correlate1d

    from objclass.compute.buffers import Buffers
    from objclass.pixels.filters import Cube, correlate, taps

    loaded_kernels()
    buffers, jobs = Buffers(), {}

    def ours(cube, weights, axis):
        buffers.give(correlate(cube, weights, 0, axis, whole(cube.size), buffers).pixels)

    for shape, axes in (((1, 1024, 1024), (2, 1)), ((104, 104, 104), (2, 1, 0))):
        image, found = noise(shape), np.empty(shape, np.float32)
        cube = Cube(image, (0, 0, 0), shape)
        for radius in (4, 12, 35):
            weights = taps(radius / 3.5, 0, 3.5)
            for axis in axes:
                name = f"{len(axes)}D {'zyx'[axis]} {radius}"
                jobs[f"{name} objclass"] = partial(ours, cube, weights, axis)
                jobs[f"{name} scipy"] = partial(
                    correlate1d, image, weights, axis, output=found, mode="mirror"
                )
    return jobs


def whole(shape):
    """The box of a whole image."""
    return tuple(slice(0, n) for n in shape)


def filters(*_):
    """Each pixel filter, the first smoothing included, of a plane of 1024² and a volume of 104³; scipy's where it has it."""
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, gaussian_laplace

    from objclass.compute.buffers import Buffers
    from objclass.pixels.features import FILTERS, PixelFeatures
    from objclass.pixels.filters import Cube

    loaded_kernels()
    theirs = {
        "GaussianSmoothing": gaussian_filter,
        "LaplacianOfGaussian": gaussian_laplace,
        "GaussianGradientMagnitude": gaussian_gradient_magnitude,
    }
    buffers, jobs = Buffers(), {}
    for shape in ((1, 1024, 1024), (104, 104, 104)):
        image = noise(shape)
        for sigma in (1.0, 3.5):
            for name in FILTERS:
                features = PixelFeatures((name,), (sigma,), np.ones((1, 1), bool), (False,))

                def ours(features=features, cube=Cube(image, (0, 0, 0), shape)):  # noqa: B008
                    buffers.give(features.compute([cube], whole(cube.size), buffers))

                what = f"{2 if shape[0] == 1 else 3}D {name} {sigma}"
                jobs[f"{what} objclass"] = ours
                if name in theirs:
                    jobs[f"{what} scipy"] = partial(theirs[name], image.squeeze(), sigma)
    return jobs


def pixel_forest(*_):
    """Prediction of pixels: 100,000 rows × 13 columns × 100 trees of some 400 nodes, 2 classes."""
    from sklearn.ensemble import RandomForestClassifier

    from objclass.forest import fit

    rng = np.random.default_rng(0)
    known, asked = (rng.normal(size=(n, 13)).astype(np.float32) for n in (1600, 100_000))
    classes = 1 + (known[:, :4].sum(axis=1) + rng.normal(size=len(known)) * 0.7 > 0)
    model = RandomForestClassifier(100, random_state=0).fit(known, classes)
    forest, _ = fit(known, classes, 2, 100, 0)
    return {"objclass": lambda: forest.predict(asked), "scikit-learn": lambda: model.predict_proba(asked)}


def painting(folder, size):
    """Five probabilities and classes of each object over the image, against ``lut[labels]``."""
    from objclass.export.paint import paint

    loaded_kernels()
    labels = label(pixels(folder, size)[1]).labels
    lut = np.random.default_rng(0).random((5, int(labels.max()) + 1)).astype(np.float32)
    classes = lut.argmax(axis=0).astype(np.uint8)[None]
    return {
        "classes": lambda: paint(labels, classes, "zyxc"),
        "lut[labels]": lambda: classes[0][labels],
        "probabilities": lambda: paint(labels, lut, "czyx"),
        "channel by channel": lambda: np.stack([values[labels] for values in lut]),
    }


def overlap(folder, size):
    """A whole run from and to compressed HDF5, in the threads that there are; and its parts alone."""
    options = run_options(folder, size)
    task, plan, context = one_task(options)
    lane = task.lane
    lane = replace(lane, raw=loaded(lane.raw), objects=loaded(lane.objects))
    step = next(run_lane(lane, plan, context))

    def reading():
        for image in (task.lane.raw, task.lane.objects):
            for _ in context.ordered(lambda box, image=image: read(image, box), boxes(image, context)):
                pass

    def writing():
        files = RunFiles([task])
        finished = LaneResult(task, context, files.lane(), sinks_of(task, plan))
        for sink in finished.sinks:
            sink.begin(finished.files, context)
            sink.step(step)
            sink.finish()
        keep(finished, lambda: None)
        files.close()

    return {
        "reading": reading,
        "computing": lambda: list(run_lane(lane, plan, context)),
        "writing": writing,
        "whole": lambda: command(options),
    }


def run_options(folder, size):
    """The command line of a run with all defaults but for names."""
    out = folder / "overlap"
    return [
        "--headless", "--quiet", "--project", folder / "standard3.ilp", "--raw_data", folder / f"{size}_raw.h5",
        "--segmentation_image", folder / f"{size}_seg.h5", "--output_filename_format", f"{out}_{{result_type}}",
        "--table_filename", f"{out}.csv",
    ]  # fmt: skip


def command(options):
    """A whole run, in this process."""
    from objclass.cli import main

    if main([str(option) for option in options]):
        raise SystemExit(1)


def one_task(options):
    """The only lane of a run, and what is done with it."""
    from objclass.cli import Parser, headless

    given = [str(option) for option in options]
    request = headless._request(  # noqa: SLF001 (as the command line makes it)
        Parser(headless.HeadlessOptions, "", "").parse_args(given), given
    )
    project = open_project(request.project)
    context = Context(limits_for(request.resources))
    lanes = open_lanes(request.inputs, project, context)
    plan = make_plan(request, lanes, project)
    return plan_tasks(request, plan, lanes)[0], plan, context


def boxes(image, context):
    """The slabs that a run reads."""
    return [slab.within(image.shape[1:4]) for slab in context.limits.slabs(image.shape[1:4])]


def read(image, box):
    return image.read((slice(0, 1), *box, slice(0, 1)))


def loaded(image):
    """The same image in memory."""
    return images.from_array(image.read()[0, ..., 0], "zyx", image.name)


def flat_margin(project, _):
    """Make the neighbourhood of a 3D project 30, 30, 1."""
    import h5py

    def widen(name, value):
        if name.endswith("/margin"):
            value[...] = (30, 30, 1)

    with h5py.File(project, "r+") as file:
        file.visititems(widen)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job")
    parser.add_argument("rounds", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", nargs="?")
    given = parser.parse_args()
    job = globals()[given.job]
    jobs = job(given.folder, given.size)
    if jobs:
        timed = {name: (lambda function=function: call(function)) for name, function in jobs.items()}
        found = by_turns(timed, given.rounds)
        json.dump({name: [asdict(taken) for taken in all_] for name, all_ in found.items()}, sys.stdout)


if __name__ == "__main__":
    main()
