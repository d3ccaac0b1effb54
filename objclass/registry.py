"""Tables of names, resolved on use: knowing that a thing exists imports nothing."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

FEATURE_SETS = {
    "2D Convex Hull Features": "objclass.features.hull:PLANE",
    "2D Skeleton Features": "objclass.features.skeleton:FEATURES",
    "3D Convex Hull Features": "objclass.features.hull:VOLUME",
    "Default features": "objclass.features.standard:DEFAULTS",
    "Standard Object Features": "objclass.features.standard:FEATURES",
    "hull": "objclass.features.convex:FEATURES",
    "regionprops": "objclass.features.regionprops:FEATURES",
}
"""Name of a feature set (ilastik: plugin) -> its features."""

READERS = {
    **dict.fromkeys((".h5", ".hdf5", ".ilp"), "objclass.images.hdf5:open_dataset"),
    **dict.fromkeys((".tif", ".tiff"), "objclass.images.tiff:open_tiff"),
    **dict.fromkeys((".npy", ".npz"), "objclass.images.numpy_file:open_array"),
    **dict.fromkeys((".zarr", ".zip"), "objclass.images.zarr_store:open_zarr"),
    ".n5": "objclass.images.n5:open_n5",
    **dict.fromkeys((".bin", ".dat", ".raw"), "objclass.images.raw:open_raw"),
    **dict.fromkeys((".czi", ".lif", ".nd2"), "objclass.images.bio:open_scene"),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pbm", ".pgm", ".pnm", ".ppm", ".ras"),
        "objclass.images.raster:open_raster",
    ),
    **dict.fromkeys((".exr", ".hdr", ".xv"), "objclass.images.raster:open_raster"),
}
"""Suffix of an image file -> the function that opens it."""

WRITERS = {
    "hdf5": "objclass.images.hdf5:Hdf5Writer",
    "compressed hdf5": "objclass.images.hdf5:CompressedHdf5Writer",
    "tif": "objclass.images.tiff:TiffWriter",
    "tiff": "objclass.images.tiff:TiffWriter",
    "multipage tiff": "objclass.images.tiff:MultipageTiffWriter",
    "png": "objclass.images.raster:PngWriter",
    "numpy": "objclass.images.numpy_file:NpyWriter",
}
"""Name of an output format -> its writer."""

FORMAT_SUFFIXES = {
    "hdf5": "h5",
    "compressed hdf5": "h5",
    "tif": "tif",
    "tiff": "tiff",
    "multipage tiff": "tiff",
    "png": "png",
    "numpy": "npy",
}
"""Name of an output format -> the suffix of its files."""

TABLE_WRITERS = {
    ".csv": "objclass.tables:CsvWriter",
    ".tsv": "objclass.tables:TsvWriter",
    ".h5": "objclass.tables:Hdf5TableWriter",
}
"""Suffix of a table file -> its writer."""


def resolve(target: str) -> Any:
    """Import what ``"module:name"`` names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def lookup(table: dict[str, str], group: str, name: str) -> Any:
    """What ``table`` has under ``name``, else an entry point of ``group``, else None."""
    if name in table:
        return resolve(table[name])
    found = entry_points(group=group, name=name)
    return next(iter(found)).load() if found else None
