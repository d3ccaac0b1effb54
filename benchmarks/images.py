"""Images to measure with: ellipsoids that do not touch, on noise; seeded, made layer by layer.

``python benchmarks/images.py FOLDER KIND NAME…`` writes ``NAME_raw.KIND`` and ``NAME_seg.KIND`` (tif: plain,
h5 and zarr: in chunks of 64³, compressed), unless they are there; KIND ``strokes``: ``NAME_strokes.tif``, some
labelled pixels, 1 background, 2 object.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

SIZES = {
    "S": ((1, 512, 512), 150, np.uint16),
    "T": ((32, 128, 128), 60, np.uint8),
    "A": ((1, 2048, 2048), 2000, np.uint16),
    "B": ((1, 8192, 8192), 39_000, np.uint16),
    "C": ((256, 256, 256), 1_900, np.uint16),
    "G": ((256, 256, 256), 1_500, np.uint8),
    "D": ((512, 512, 512), 9_700, np.uint8),
    "E": ((1024, 1024, 1024), 80_000, np.uint8),
    "F": ((2048, 1024, 1024), 160_000, np.uint8),
    "J": ((1, 2048, 2048), 1_000, np.uint8),
    "K": ((1, 2048, 2048), 10_000, np.uint8),
    "L": ((128, 128, 128), 1_000, np.uint8),
    "M": ((128, 128, 128), 10_000, np.uint8),
}
"""Name -> shape (z, y, x), number of objects, type of the raw data."""


def layers(name, seed=0):
    """Raw data and segmentation (uint8), a layer of planes (or rows of a single plane) at a time.

    The image is cut into cells, layer by layer; `count` of them, evenly spread, hold an object.
    """
    shape, count, dtype = SIZES[name]
    side = (np.prod(shape, dtype=float) / count) ** (1 / (2 if shape[0] == 1 else 3))
    cells = [-(-n // side) if n > 1 else 1 for n in shape]
    edges = [np.linspace(0, n, int(cell) + 1).astype(int) for n, cell in zip(shape, cells, strict=True)]
    along = 1 if shape[0] == 1 else 0
    number, total = 0, np.prod(cells)
    for layer, (low, high) in enumerate(pairwise(edges[along])):
        rng = np.random.default_rng([seed, layer])
        size = [high - low if axis == along else n for axis, n in enumerate(shape)]
        raw = rng.integers(60, 120, size, np.uint8).astype(dtype)
        mask = np.zeros(size, np.uint8)
        inside = [np.array([0, high - low]) if axis == along else edges[axis] for axis in range(3)]
        for box in boxes(inside):
            if (number + 1) * count // total > number * count // total:
                fill(raw, mask, box, rng)
            number += 1
        yield raw, mask


def boxes(edges):
    """The cells between edges along z, y, x."""
    parts = [[slice(a, b) for a, b in pairwise(e)] for e in edges]
    return ((z, y, x) for z in parts[0] for y in parts[1] for x in parts[2])


def fill(raw, mask, box, rng):
    """One ellipsoid in its cell."""
    lengths = [part.stop - part.start for part in box]
    radii = [max(rng.uniform(0.25, 0.45) * n, 0.5) for n in lengths]
    grid = np.ogrid[tuple(slice(0, n) for n in lengths)]
    inside = sum(((g - (n - 1) / 2) / r) ** 2 for g, n, r in zip(grid, lengths, radii, strict=True)) <= 1
    mask[box][inside] = 1
    raw[box][inside] += raw.dtype.type(rng.integers(20, 120))


def write(folder, kind, name):
    """The images of a size as files ``NAME_raw`` and ``NAME_seg`` of this kind."""
    paths = [Path(folder) / f"{name}_{what}.{kind}" for what in ("raw", "seg")]
    if all(path.exists() for path in paths):
        return
    shape, _, dtype = SIZES[name]
    parts = [path.with_name(f"part-{path.name}") for path in paths]
    sinks = [sink(path, shape, kind) for path, kind in zip(parts, (dtype, np.uint8), strict=True)]
    along, start = (1 if shape[0] == 1 else 0), 0
    for pair in layers(name):
        stop = start + pair[0].shape[along]
        place = (slice(None),) * along + (slice(start, stop),)
        for target, pixels in zip(sinks, pair, strict=True):
            target[place] = pixels
        start = stop
    for target, part, path in zip(sinks, parts, paths, strict=True):
        if kind == "h5":
            target.file.close()
        elif kind == "tif":
            target.flush()
        part.rename(path)


def sink(path, shape, dtype):
    """An array in a new file."""
    chunks = tuple(min(n, 64 if shape[0] > 1 else 512) for n in shape)
    if path.suffix == ".tif":
        import tifffile

        layout = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
        return tifffile.memmap(path, shape=shape, dtype=dtype, **layout)
    if path.suffix == ".h5":
        import h5py

        packed = {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
        data = h5py.File(path, "w").create_dataset("data", shape, dtype, **packed)
        data.attrs["axistags"] = '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}]}'
        return data
    import zarr

    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=chunks)


def strokes(folder, name, count=24_000):
    """Labels of `count` pixels, half of them in objects, for a pixel classifier."""
    import tifffile

    mask = np.concatenate([part for _, part in layers(name)], axis=1 if SIZES[name][0][0] == 1 else 0)
    rng, painted = np.random.default_rng(1), np.zeros(mask.shape, np.uint8)
    for label in (1, 2):
        chosen = rng.choice(np.flatnonzero(mask == label - 1), count // 2, replace=False)
        painted.flat[chosen] = label
    axes = "YX" if mask.shape[0] == 1 else "ZYX"
    tifffile.imwrite(Path(folder) / f"{name}_strokes.tif", painted.squeeze(), metadata={"axes": axes})


if __name__ == "__main__":
    for wanted in sys.argv[3:]:
        if sys.argv[2] == "strokes":
            strokes(sys.argv[1], wanted)
        else:
            write(sys.argv[1], sys.argv[2], wanted)
