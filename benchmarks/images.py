"""Images to measure with: ellipsoids that do not touch, on noise; seeded, made layer by layer.

``python benchmarks/images.py FOLDER A B C D`` writes ``A_raw.tif`` and ``A_seg.tif`` …; of ``E`` (1024³) and
``F`` (2048 × 1024 × 1024), chunked HDF5 and Zarr.
"""

import sys
from pathlib import Path

import numpy as np

SIZES = {
    "S": ((1, 512, 512), 150, np.uint16),
    "A": ((1, 2048, 2048), 2000, np.uint16),
    "B": ((1, 8192, 8192), 39_000, np.uint16),
    "C": ((256, 256, 256), 1_900, np.uint16),
    "D": ((512, 512, 512), 9_700, np.uint8),
    "E": ((1024, 1024, 1024), 80_000, np.uint8),
    "F": ((2048, 1024, 1024), 160_000, np.uint8),
}
"""Name -> shape (z, y, x), number of objects, type of the raw data."""


def layers(name, seed=0):
    """Raw data and segmentation (uint8), a layer of planes (or rows of a single plane) at a time."""
    shape, count, dtype = SIZES[name]
    rng = np.random.default_rng(seed)
    flat = shape[0] == 1
    side = (np.prod(shape, dtype=float) / count) ** (1 / (2 if flat else 3))
    cells = [1 if n == 1 else max(int(n / side), 1) for n in shape]
    edges = [np.linspace(0, n, cell + 1).astype(int) for n, cell in zip(shape, cells, strict=True)]
    along = 1 if flat else 0
    for low, high in zip(edges[along][:-1], edges[along][1:], strict=True):
        size = [high - low if axis == along else n for axis, n in enumerate(shape)]
        raw = rng.integers(60, 120, size, np.uint8).astype(dtype)
        mask = np.zeros(size, np.uint8)
        others = [axis for axis in range(3) if axis != along]
        for i in range(cells[others[0]]):
            for j in range(cells[others[1]]):
                box = [slice(0, high - low)] * 3
                box[others[0]] = slice(edges[others[0]][i], edges[others[0]][i + 1])
                box[others[1]] = slice(edges[others[1]][j], edges[others[1]][j + 1])
                fill(raw, mask, tuple(box), rng)
        yield raw, mask


def fill(raw, mask, box, rng):
    """One ellipsoid in its cell."""
    lengths = [part.stop - part.start for part in box]
    radii = [max(rng.uniform(0.25, 0.45) * n, 0.5) for n in lengths]
    grid = np.ogrid[tuple(slice(0, n) for n in lengths)]
    inside = sum(((g - (n - 1) / 2) / r) ** 2 for g, n, r in zip(grid, lengths, radii, strict=True)) <= 1
    mask[box][inside] = 1
    raw[box][inside] += raw.dtype.type(rng.integers(20, 120))


def write(folder, name, kinds=("tif",)):
    """The images of a size as files ``NAME_raw`` and ``NAME_seg`` of these kinds; answers their paths."""
    shape, _, dtype = SIZES[name]
    paths = {kind: [Path(folder) / f"{name}_{what}.{kind}" for what in ("raw", "seg")] for kind in kinds}
    sinks = [
        sink(path, shape, kind)
        for kind in kinds
        for path, kind in zip(paths[kind], (dtype, np.uint8), strict=True)
    ]
    along, start = (1 if shape[0] == 1 else 0), 0
    for pair in layers(name):
        stop = start + pair[0].shape[along]
        for number, target in enumerate(sinks):
            place = [slice(None)] * 3
            place[along] = slice(start, stop)
            target[tuple(place)] = pair[number % 2]
        start = stop
    return paths


def sink(path, shape, dtype):
    """An array in a new file: plain TIFF, HDF5 (gzip, 64³ chunks) or Zarr."""
    chunks = tuple(min(n, 64 if shape[0] > 1 else 512) for n in shape)
    if path.suffix == ".tif":
        import tifffile

        return tifffile.memmap(path, shape=shape, dtype=dtype, photometric="minisblack",
                               metadata={"axes": "ZYX"})  # fmt: skip
    if path.suffix == ".h5":
        import h5py

        file = h5py.File(path, "w")
        data = file.create_dataset(
            "data", shape, dtype, chunks=chunks, compression="gzip", compression_opts=1
        )
        data.attrs["axistags"] = '{"axes": [{"key": "z"}, {"key": "y"}, {"key": "x"}]}'
        return data
    import zarr

    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=chunks)


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        kinds = ("h5", "zarr") if wanted in "EF" else ("tif", "h5")
        print(write(Path(sys.argv[1]), wanted, kinds))
