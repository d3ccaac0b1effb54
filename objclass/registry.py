"""Tables of names, resolved on use: knowing that a thing exists imports nothing."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

FEATURE_SETS = {
    "2D Convex Hull Features": "objclass.features.sets.ilastik_hull:PLANE",
    "2D Skeleton Features": "objclass.features.sets.skeleton:FEATURES",
    "3D Convex Hull Features": "objclass.features.sets.ilastik_hull:VOLUME",
    "Default features": "objclass.features.sets.standard:DEFAULTS",
    "Standard Object Features": "objclass.features.sets.standard:FEATURES",
    "hull": "objclass.features.sets.convex_hull:FEATURES",
    "regionprops": "objclass.features.sets.regionprops:FEATURES",
}
"""Name of a feature set (ilastik: plugin) -> its features."""

READERS = {
    **dict.fromkeys((".h5", ".hdf5", ".ilp"), "objclass.images.formats.hdf5:open_dataset"),
    **dict.fromkeys((".tif", ".tiff"), "objclass.images.formats.tiff:open_tiff"),
    **dict.fromkeys((".npy", ".npz"), "objclass.images.formats.numpy_file:open_array"),
    **dict.fromkeys((".zarr", ".zip"), "objclass.images.formats.zarr_store:open_zarr"),
    ".n5": "objclass.images.formats.n5:open_n5",
    **dict.fromkeys((".bin", ".dat", ".raw"), "objclass.images.formats.raw:open_raw"),
    **dict.fromkeys((".czi", ".lif", ".nd2"), "objclass.images.formats.bio:open_scene"),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pbm", ".pgm", ".pnm", ".ppm", ".ras"),
        "objclass.images.formats.raster:open_raster",
    ),
    **dict.fromkeys((".exr", ".hdr", ".xv"), "objclass.images.formats.raster:open_raster"),
}
"""Suffix of an image file -> the function that opens it."""

PLANE_WRITERS = {
    "bmp": "objclass.images.formats.raster:BmpWriter",
    "gif": "objclass.images.formats.raster:GifWriter",
    "hdr": "objclass.images.formats.raster:HdrWriter",
    "jpeg": "objclass.images.formats.raster:JpegWriter",
    "jpg": "objclass.images.formats.raster:JpegWriter",
    "pbm": "objclass.images.formats.netpbm:PgmWriter",
    "pgm": "objclass.images.formats.netpbm:PgmWriter",
    "png": "objclass.images.formats.raster:PngWriter",
    "pnm": "objclass.images.formats.netpbm:PnmWriter",
    "ppm": "objclass.images.formats.netpbm:PnmWriter",
    "ras": "objclass.images.formats.sun:RasWriter",
    "tif": "objclass.images.formats.tiff:TiffWriter",
    "tiff": "objclass.images.formats.tiff:TiffWriter",
    "xv": "objclass.images.formats.viff:XvWriter",
}
"""Name of an output format of one plane, which is the suffix of its files as well -> its writer."""

WRITERS = {
    "hdf5": "objclass.images.formats.hdf5:Hdf5Writer",
    "compressed hdf5": "objclass.images.formats.hdf5:CompressedHdf5Writer",
    "numpy": "objclass.images.formats.numpy_file:NpyWriter",
    "multipage tiff": "objclass.images.formats.tiff:MultipageTiffWriter",
    "multipage tiff sequence": "objclass.images.sequence:MULTIPAGE_TIFF",
    **PLANE_WRITERS,
    **{f"{name} sequence": f"objclass.images.sequence:{name.upper()}" for name in PLANE_WRITERS},
    "single-scale OME-Zarr": "objclass.images.formats.omezarr:SingleScaleWriter",
    "multi-scale OME-Zarr": "objclass.images.formats.omezarr:MultiScaleWriter",
    "n5": "objclass.images.formats.n5:N5Writer",
    "compressed n5": "objclass.images.formats.n5:CompressedN5Writer",
    "dvid": "objclass.images.formats.dvid:DvidWriter",
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
    ".csv": "objclass.export.tables:CsvWriter",
    ".tsv": "objclass.export.tables:TsvWriter",
    ".h5": "objclass.export.tables:Hdf5TableWriter",
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
