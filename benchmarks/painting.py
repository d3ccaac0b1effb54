"""Painting in one process: a class image and probabilities, by numpy and by numba, and as one would write it.

``python benchmarks/painting.py [--size 4096] [--rounds 7]`` prints a table in Markdown: least ns/voxel of
interleaved rounds, imports and compiling excluded; memory is fresh for all.
"""

import argparse
import time
from unittest.mock import patch

import numpy as np

from objclass import maps
from objclass.core import Objects, Predictions


def as_written(source, objects, predictions):
    """``lut[labels]``, channel by channel into what the file wants."""
    table = maps.lut(source, predictions)
    image = np.empty((*objects.labels.shape, len(table)), table.dtype)
    for c, values in enumerate(table):
        image[..., c] = np.take(values, objects.labels)
    return image


def row(source, axes, labels, rounds):
    """A row of the table."""
    count = int(labels.max())
    objects = Objects(labels, count)
    predictions = Predictions(np.random.default_rng(0).random((count, 5)).astype(np.float32))
    compiled, _ = maps.kernel.compiled

    def ours(kernel):
        with patch.object(maps.kernel, "choose", lambda _: kernel):
            return maps.paint(source, objects, predictions, axes)

    calls = [lambda: as_written(source, objects, predictions), lambda: ours(None), lambda: ours(compiled)]
    expected, *others = [call() for call in calls]
    assert all(np.array_equal(expected, other) for other in others)
    del expected, others
    found = [[] for _ in calls]
    for _ in range(rounds):
        for call, seconds in zip(calls, found, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    a, b, c = (min(seconds) / labels.size * 1e9 for seconds in found)
    return f"| {source} {axes} | {a:.2f} | {b:.2f} | {c:.2f} | {a / b:.1f}× | {a / c:.1f}× |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    y, x = np.mgrid[: given.size, : given.size]
    cells = (y // 24 * (given.size // 24 + 1) + x // 24 + 1).astype(np.uint32)
    inside = (y % 24 - 11.5) ** 2 + (x % 24 - 11.5) ** 2 <= 81
    labels = np.where(inside, cells, 0).astype(np.uint32)[None]
    print("| image | `lut[labels]` | numpy | numba | | |\n|---|---|---|---|---|---|")
    for source, axes in (
        ("Object Predictions", "yxc"), ("Object Probabilities", "yxc"), ("Object Probabilities", "cyx"),
    ):  # fmt: skip
        print(row(source, axes, labels, given.rounds))


if __name__ == "__main__":
    main()
