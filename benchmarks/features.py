"""Features alone, side by side in one process: objclass, scikit-image, and reading the pixels at all.

``python benchmarks/features.py [--rounds 3] [--scenes A C D]`` prints tables in Markdown. Times are those
of the processor (all threads), which other work on the machine disturbs less; medians of rounds.
"""

import argparse
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import version

import numpy as np

from objclass.core import Objects
from objclass.features import Frame, choose, closure, gather, measure
from objclass.features.regionprops import FEATURES
from objclass.features.statistics import Block
from objclass.kernels import Kernels

SCENES = {  # shape, dtype, side of the cell of an object
    "A": ((1, 2048, 2048), np.uint16, 46),
    "C": ((256, 256, 256), np.uint16, 21),
    "D": ((512, 512, 512), np.uint8, 24),
}
BASIC = (
    "label", "area", "centroid", "bbox", "axis_major_length", "axis_minor_length", "intensity_mean", "intensity_std",
    "intensity_min", "intensity_max",
)  # fmt: skip
HULL = ("area_convex", "solidity", "feret_diameter_max")


def scene(shape, dtype, cell):
    """Labels and noisy raw data (z, y, x, 1): an ellipsoid somewhere in every cell of a grid."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint32)
    raw = rng.integers(30, 70, shape).astype(dtype)
    counts = [max(n // cell, 1) for n in shape]
    for number, place in enumerate(np.ndindex(*counts), 1):
        box = tuple(
            slice(p * cell, (p + 1) * cell) if n > 1 else slice(0, 1)
            for p, n in zip(place, shape, strict=True)
        )
        radii = rng.uniform(*((0.2, 0.33) if shape[0] == 1 else (0.3, 0.49)), 3) * cell
        axes = [np.arange(s.stop - s.start) - (s.stop - s.start - 1) / 2 for s in box]
        z, y, x = (((a / r) ** 2) for a, r in zip(axes, radii, strict=True))
        inside = z[:, None, None] + y[:, None] + x <= 1
        labels[box][inside] = number
        raw[box][inside] += rng.integers(20, 150).astype(dtype)
    return labels, raw[..., None]


def skewness(mask, values):
    d = values[mask].astype(float)
    d -= d.mean()
    return (d**3).mean() / (d * d).mean() ** 1.5


def kurtosis(mask, values):
    d = values[mask].astype(float)
    d -= d.mean()
    return (d**4).mean() / (d * d).mean() ** 2 - 3


def histogram(mask, values):
    return np.histogram(values[mask], 64, (0, 400))[0].astype(float)


def quantiles(mask, values):
    return np.quantile(values[mask], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])


EXTRA = (skewness, kurtosis, histogram, quantiles)


def theirs(labels, raw, names, extra=None):
    """The table of scikit-image."""
    from skimage.measure import regionprops_table

    squeezed = labels.squeeze().astype(np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regionprops_table(squeezed, raw[..., 0].squeeze(), names, extra_properties=extra)


def seconds(call):
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(calls, rounds):
    """Medians of interleaved rounds, after a first call of each; the slow ones are called once."""
    first = {name: seconds(call) for name, call in calls.items()}
    found = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(seconds(call) if first[name] < 3 or not found[name] else found[name][0])
    return {name: statistics.median(times) for name, times in found.items()}


def with_kernels(compiled, call):
    """The call with compiled statistics, or without."""

    def inner():
        usual = Kernels.choose
        Kernels.choose = lambda self, *_: self.compiled[0] if compiled else None
        try:
            call()
        finally:
            Kernels.choose = usual

    return inner


def frame_of(labels, raw):
    """What `measure` takes."""
    objects = Objects(labels, int(labels.max()))
    return Frame(objects, lambda where: raw[where], 1, (1.0,) * objects.ndim)


def in_threads(frame, raw, features, threads):
    """The statistics of whole frames in threads (without the formulas of the features)."""
    labels = frame.objects.labels
    needed = closure(s for f in features for s in f.needs)
    block = Block(labels, raw, (0, 0, 0), frame.objects.count, labels.size, frame.objects.ndim, frame.spacing)
    gather(needed, lambda: [block], threads)


def standard_rows(names, rounds):
    """Standard Object Features of each scene."""
    print("| scene | objects | | ns/voxel | × reading | objclass is faster by |\n|---|---|---|---|---|---|")
    for name in names:
        labels, raw = scene(*SCENES[name])
        frame = frame_of(labels, raw)
        features = [
            f for f in choose(["Standard Object Features"], frame.objects.ndim, 1) if f.scope == "object"
        ]

        def ours(frame=frame, features=features):
            measure(frame, features)

        found = compare(
            {
                "np.sum of both": lambda labels=labels, raw=raw: (labels.sum(), raw.sum()),
                "objclass": with_kernels(True, ours),
                "objclass, without numba": with_kernels(False, ours),
                "scikit-image": lambda labels=labels, raw=raw: theirs(labels, raw, BASIC, EXTRA),
            },
            rounds,
        )
        found["objclass, in 2 threads (wall)"] = walls(frame, raw, features)
        for what, took in found.items():
            ratio = f"{took / found['objclass']:.1f}"
            reading = f"{took / found['np.sum of both']:.1f}"
            print(
                f"| {name} | {frame.objects.count} | {what} | {took / labels.size * 1e9:.2f} | {reading} | {ratio} |"
            )


def walls(frame, raw, features):
    """Least wall seconds of three rounds in two threads."""
    call = with_kernels(True, lambda: in_threads(frame, raw, features, 2))
    took = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)


def regionprops_rows(rounds):
    """The set `regionprops` but for hulls, 2D."""
    labels, raw = scene(*SCENES["A"])
    frame = frame_of(labels, raw)
    features = [f for f in FEATURES.values() if f.fits(2, 1) and f.name not in HULL]
    names = [f.name for f in features]
    found = compare(
        {
            "objclass": with_kernels(False, lambda: measure(frame, features)),
            "scikit-image": lambda: theirs(labels, raw, names),
        },
        rounds,
    )
    print("\n| `regionprops` but for hulls, A | s | ratio |\n|---|---|---|")
    for what, took in found.items():
        print(f"| {what} | {took:.3f} | {took / found['objclass']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=list(SCENES))
    options = parser.parse_args()
    names = ("numpy", "numba", "scikit-image")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()};",
          ", ".join(f"{name} {version(name)}" for name in names))  # fmt: skip
    print()
    standard_rows(options.scenes, options.rounds)
    regionprops_rows(options.rounds)


if __name__ == "__main__":
    main()
