"""Painting in one process: a class image and probabilities, by numpy and by numba, and as one would write it.

``python benchmarks/painting.py [--size 4096] [--rounds 7]`` prints a table in Markdown: least ns/voxel of
interleaved rounds, imports and compiling excluded; memory is fresh for all.
"""

import argparse
import time
from unittest.mock import patch

import numpy as np

from objclass import maps


def as_written(lut, labels):
    """``lut[labels]``, channel by channel."""
    image = np.empty((*labels.shape, len(lut)), lut.dtype)
    for c, values in enumerate(lut):
        image[..., c] = np.take(values, labels)
    return image


def row(title, lut, axes, labels, rounds):
    """A row of the table."""
    kernel = maps.kernels[lut.dtype.name]
    compiled, _ = kernel.compiled

    def ours(chosen):
        with patch.object(kernel, "choose", lambda _: chosen):
            return maps.paint(labels, lut, axes)

    calls = [lambda: as_written(lut, labels), lambda: ours(None), lambda: ours(compiled)]
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
    return f"| {title}, {axes} | {a:.2f} | {b:.2f} | {c:.2f} | {a / b:.1f}× | {a / c:.1f}× |"


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
    probabilities = np.random.default_rng(0).random((5, int(labels.max()) + 1)).astype(np.float32)
    classes = probabilities.argmax(axis=0).astype(np.uint8)[None]
    for title, lut, axes in (
        ("class image", classes, "yxc"), ("5 probabilities", probabilities, "yxc"), ("5 probabilities", probabilities, "cyx"),
    ):  # fmt: skip
        print(row(title, lut, axes, labels, given.rounds))


if __name__ == "__main__":
    main()
