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

PLANE_WRITERS = {
    "bmp": "objclass.images.raster:BmpWriter",
    "gif": "objclass.images.raster:GifWriter",
    "hdr": "objclass.images.raster:HdrWriter",
    "jpeg": "objclass.images.raster:JpegWriter",
    "jpg": "objclass.images.raster:JpegWriter",
    "pbm": "objclass.images.netpbm:PgmWriter",
    "pgm": "objclass.images.netpbm:PgmWriter",
    "png": "objclass.images.raster:PngWriter",
    "pnm": "objclass.images.netpbm:PnmWriter",
    "ppm": "objclass.images.netpbm:PnmWriter",
    "ras": "objclass.images.sun:RasWriter",
    "tif": "objclass.images.tiff:TiffWriter",
    "tiff": "objclass.images.tiff:TiffWriter",
    "xv": "objclass.images.viff:XvWriter",
}
"""Name of an output format of one plane, which is the suffix of its files as well -> its writer."""

WRITERS = {
    "hdf5": "objclass.images.hdf5:Hdf5Writer",
    "compressed hdf5": "objclass.images.hdf5:CompressedHdf5Writer",
    "numpy": "objclass.images.numpy_file:NpyWriter",
    "multipage tiff": "objclass.images.tiff:MultipageTiffWriter",
    "multipage tiff sequence": "objclass.images.sequence:MULTIPAGE_TIFF",
    **PLANE_WRITERS,
    **{f"{name} sequence": f"objclass.images.sequence:{name.upper()}" for name in PLANE_WRITERS},
    "single-scale OME-Zarr": "objclass.images.omezarr:SingleScaleWriter",
    "multi-scale OME-Zarr": "objclass.images.omezarr:MultiScaleWriter",
    "n5": "objclass.images.n5:N5Writer",
    "compressed n5": "objclass.images.n5:CompressedN5Writer",
    "dvid": "objclass.images.dvid:DvidWriter",
}
"""Name of an output format -> its writer."""

FORMAT_SUFFIXES = {
    "hdf5": "h5",
    "compressed hdf5": "h5",
    "numpy": "npy",
    "multipage tiff": "tiff",
    "multipage tiff sequence": "tiff",
    **{name: name for name in PLANE_WRITERS},
    **{f"{name} sequence": name for name in PLANE_WRITERS},
    "single-scale OME-Zarr": "zarr",
    "multi-scale OME-Zarr": "zarr",
    "n5": "n5",
    "compressed n5": "n5",
}
"""Name of an output format -> the suffix of its files; one that lacks here goes to a URL."""

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
