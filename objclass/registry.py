"""Tables of formats, features and kernels by name. Entries are imported on use: listing them imports nothing.

An image format, a table format, a format of objects, a format of labels and a feature set are one entry each, which holds all that is known of it. Installed
packages add entries of the same types through entry points (`IMAGE_PLUGINS`, `TABLE_PLUGINS`,
`OBJECT_PLUGINS`, `FEATURE_PLUGINS`); those of objclass come first. Standard library only.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from typing import Any

from objclass.errors import PluginError

IMAGE_PLUGINS = "objclass.images"
"""Group of entry points, each an `ImageFormat`."""

TABLE_PLUGINS = "objclass.tables"
"""Group of entry points, each a `TableFormat`."""

OBJECT_PLUGINS = "objclass.objects"
"""Group of entry points, each an `ObjectFormat`."""

FEATURE_PLUGINS = "objclass.features"
"""Group of entry points, each an `objclass.features.contract.FeatureSet` under its name."""


@dataclass(frozen=True)
class Capacity:
    """What a file of one plane can hold.

    Parameters
    ----------
    dtypes
        Names of numpy's types that are stored without loss.
    channels
        Numbers of channels; empty for any.
    side
        Largest number of rows and of columns.
    size
        Largest number of bytes of all pixels, None for any.
    """

    dtypes: tuple[str, ...]
    channels: tuple[int, ...] = ()
    side: int = (1 << 31) - 1
    size: int | None = None


@dataclass(frozen=True)
class OutputFormat:
    """A value of ``--output_format``.

    Parameters
    ----------
    name
        Its name.
    suffix
        Suffix of its files; empty if it is written to a URL.
    writer
        ``"module:name"`` of an `objclass.images.writer.Writer`, or the class itself.
    capacity
        What a file of one plane can hold; None where only the writer knows.
    part_axes
        How many axes each file of a sequence of such files has, channels not counted; 0: there is no
        sequence.
    lossy
        Whether pixel values change, so that classes and ids would be wrong.
    part
        For a sequence: the name of the format of its files.
    """

    name: str
    suffix: str
    writer: Any
    capacity: Capacity | None = None
    part_axes: int = 0
    lossy: bool = False
    part: str = ""

    @property
    def sequence(self) -> "OutputFormat":
        """The format of several such files, one for each slice."""
        return replace(self, name=f"{self.name} sequence", part=self.name)


@dataclass(frozen=True)
class ImageFormat:
    """A kind of image file.

    Parameters
    ----------
    name
        Its name.
    suffixes
        Suffixes of its files, lower case, with the dot.
    reader
        ``"module:name"`` of a function ``(path, internal, context) -> Source``, or the function; None if such
        files are only written.
    arrays
        For files that hold several arrays: the function ``(path) -> names`` that lists them.
    folder
        Whether it is a folder of files.
    remote
        Whether it is read from servers, too: ``path`` may be a URL.
    shared
        Whether one file holds several datasets, each with a name; writing one keeps the others.
    outputs
        The values of ``--output_format`` that write it.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    reader: Any = None
    arrays: Any = None
    folder: bool = False
    remote: bool = False
    shared: bool = False
    outputs: tuple[OutputFormat, ...] = ()


@dataclass(frozen=True)
class TableFormat:
    """A kind of table.

    Parameters
    ----------
    suffix
        Suffix of its files, lower case, with the dot; of two parts where it is packed (``.csv.gz``).
    writer
        ``"module:name"`` of an `objclass.export.tables.TableWriter`, or the class itself.
    pictures
        Whether it holds pictures of the objects.
    dialects
        Whether ``--csv_dialect`` applies to it.
    extra
        The extra of objclass that its writer needs (``pip install "objclass[extra]"``); ``""`` for none.
    """

    suffix: str
    writer: Any
    pictures: bool = False
    dialects: bool = False
    extra: str = ""


@dataclass(frozen=True)
class ObjectFormat:
    """A kind of file in which other programs take objects: a value of ``--export_objects`` by its suffix.

    Parameters
    ----------
    name
        Its name.
    suffixes
        Ends of the names of its files, lower case, with the dot.
    sink
        ``"module:name"`` of an `objclass.export.objects.object_sink.ObjectSink`, or the class itself.
    holds
        What it holds of each object, for the documentation.
    volumes, series
        Whether it holds several planes, several time steps.
    library, extra
        The module that it needs, and the extra of objclass that installs it; empty if it needs none.
    folder
        Whether it is a folder of files.
    """

    name: str
    suffixes: tuple[str, ...]
    sink: Any
    holds: str
    volumes: bool = True
    series: bool = True
    library: str = ""
    extra: str = ""
    folder: bool = False

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it holds images of this shape (t, z, y, x, c)."""
        return (self.volumes or shape[1] == 1) and (self.series or shape[0] == 1)


@dataclass(frozen=True)
class ReportFormat:
    """A kind of report.

    Parameters
    ----------
    suffix
        Suffix of its files, lower case, with the dot.
    of_run
        ``"module:name"`` of what makes the report of a run: it collects the findings of lanes as a
        `objclass.export.tables.TableWriter` collects rows.
    libraries, extra
        The modules that it needs, and the extra of objclass that installs them.
    """

    suffix: str
    of_run: Any
    libraries: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class LabelFormat:
    """A kind of file of labels of objects, other than painted images and projects.

    Parameters
    ----------
    name
        Its name.
    suffixes
        Ends of the names of its files, lower case, with the dot.
    reader
        ``"module:name"`` of a function ``(path, given) -> Reading``, whose ``given`` is an
        `objclass.training.labels.given.GivenLanes`.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str


_UNSIGNED = ("uint8", "uint16")
_INTEGERS = (*_UNSIGNED, "uint32", "uint64", "int8", "int16", "int32", "int64")
_FLOATS = ("float32", "float64")
_TIFF_PLANE = Capacity((*_INTEGERS, *_FLOATS))
_GREY_OR_COLOURS = (1, 3)
_BYTES_32 = (1 << 32) - 4096
"""Bytes of the pixels where a header has 32 bits for them; the rest is for the header."""

_READ = "objclass.images.formats"
_RASTER = f"{_READ}.raster:open_raster"


def _planes(writer: str, capacity: Capacity, *names: str, lossy: bool = False) -> tuple[OutputFormat, ...]:
    """Formats of one plane, which are called as the suffix of their files."""
    return tuple(
        OutputFormat(name, f".{name}", f"{_READ}.{writer}", capacity, part_axes=2, lossy=lossy)
        for name in names
    )


IMAGE_FORMATS = (
    ImageFormat(
        "HDF5",
        (".h5", ".hdf5", ".ilp"),
        f"{_READ}.hdf5:open_dataset",
        arrays=f"{_READ}.hdf5:arrays_in",
        shared=True,
        outputs=(
            OutputFormat("hdf5", ".h5", f"{_READ}.hdf5:Hdf5Writer"),
            OutputFormat("compressed hdf5", ".h5", f"{_READ}.hdf5:CompressedHdf5Writer"),
        ),
    ),
    ImageFormat(
        "TIFF",
        (".tif", ".tiff"),
        f"{_READ}.tiff:open_tiff",
        outputs=(
            OutputFormat("multipage tiff", ".tiff", f"{_READ}.tiff:MultipageTiffWriter", part_axes=3),
            *_planes("tiff:TiffWriter", _TIFF_PLANE, "tif", "tiff"),
            OutputFormat(
                "compressed multipage tiff",
                ".tiff",
                f"{_READ}.tiff:CompressedMultipageTiffWriter",
                part_axes=3,
            ),
            OutputFormat(
                "compressed tiff", ".tiff", f"{_READ}.tiff:CompressedTiffWriter", _TIFF_PLANE, part_axes=2
            ),
        ),
    ),
    ImageFormat(
        "NumPy",
        (".npy",),
        f"{_READ}.numpy_file:open_array",
        outputs=(OutputFormat("numpy", ".npy", f"{_READ}.numpy_file:NpyWriter"),),
    ),
    ImageFormat(
        "NumPy, several",
        (".npz",),
        f"{_READ}.numpy_file:open_array",
        arrays=f"{_READ}.numpy_file:arrays_in",
    ),
    ImageFormat(
        "Zarr",
        (".zarr",),
        f"{_READ}.zarr_store:open_zarr",
        arrays=f"{_READ}.zarr_store:arrays_in",
        folder=True,
        remote=True,
        outputs=(
            OutputFormat("single-scale OME-Zarr", ".zarr", f"{_READ}.omezarr:SingleScaleWriter"),
            OutputFormat("multi-scale OME-Zarr", ".zarr", f"{_READ}.omezarr:MultiScaleWriter"),
        ),
    ),
    ImageFormat(
        "zipped Zarr",
        (".zip",),
        f"{_READ}.zarr_store:open_zarr",
        arrays=f"{_READ}.zarr_store:arrays_in",
    ),
    ImageFormat(
        "N5",
        (".n5",),
        f"{_READ}.n5:open_n5",
        arrays=f"{_READ}.n5:arrays_in",
        folder=True,
        remote=True,
        shared=True,
        outputs=(
            OutputFormat("n5", ".n5", f"{_READ}.n5:N5Writer"),
            OutputFormat("compressed n5", ".n5", f"{_READ}.n5:CompressedN5Writer"),
        ),
    ),
    ImageFormat("DVID", outputs=(OutputFormat("dvid", "", f"{_READ}.dvid:DvidWriter"),)),
    ImageFormat("raw binary", (".bin", ".dat", ".raw"), f"{_READ}.raw:open_raw"),
    ImageFormat(
        "CZI, LIF, ND2",
        (".czi", ".lif", ".nd2"),
        f"{_READ}.bio:open_scene",
        arrays=f"{_READ}.bio:scenes_in",
    ),
    ImageFormat(
        "PNG",
        (".png",),
        _RASTER,
        outputs=_planes("raster:PngWriter", Capacity(_UNSIGNED, _GREY_OR_COLOURS), "png"),
    ),
    ImageFormat(
        "JPEG",
        (".jpg", ".jpeg"),
        _RASTER,
        outputs=_planes(
            "raster:JpegWriter",
            Capacity(("uint8",), _GREY_OR_COLOURS, side=65500),
            *("jpeg", "jpg"),
            lossy=True,
        ),
    ),
    ImageFormat(
        "BMP",
        (".bmp",),
        _RASTER,
        outputs=_planes("raster:BmpWriter", Capacity(("uint8",), _GREY_OR_COLOURS, size=_BYTES_32), "bmp"),
    ),
    ImageFormat(
        "GIF",
        (".gif",),
        _RASTER,
        outputs=_planes("raster:GifWriter", Capacity(("uint8",), (1,), side=65535), "gif"),
    ),
    ImageFormat(
        "PGM",  # a PBM file would hold one bit a pixel; as in ilastik, `pbm` is a PGM file of that name
        (".pbm", ".pgm"),
        _RASTER,
        outputs=_planes("netpbm:PgmWriter", Capacity(_UNSIGNED, (1,)), "pbm", "pgm"),
    ),
    ImageFormat(
        "PNM",
        (".pnm", ".ppm"),
        _RASTER,
        outputs=_planes("netpbm:PnmWriter", Capacity(_UNSIGNED, _GREY_OR_COLOURS), "pnm", "ppm"),
    ),
    ImageFormat(
        "Sun raster",
        (".ras",),
        _RASTER,
        outputs=_planes("sun:RasWriter", Capacity(("uint8",), _GREY_OR_COLOURS, size=_BYTES_32), "ras"),
    ),
    ImageFormat("OpenEXR", (".exr",), _RASTER),
    ImageFormat(
        "Radiance",
        (".hdr",),
        _RASTER,
        outputs=_planes("raster:HdrWriter", Capacity(("float32",), (3,)), "hdr", lossy=True),
    ),
    ImageFormat(
        "Khoros",
        (".xv",),
        _RASTER,
        outputs=_planes("viff:XvWriter", Capacity(("uint8", "int16", "int32", *_FLOATS)), "xv"),
    ),
)
"""All image formats of objclass. ``docs/formats.md`` describes each."""

_TABLES = "objclass.export.tables"

TABLE_FORMATS = (
    TableFormat(".csv", f"{_TABLES}.text:CsvWriter", dialects=True),
    TableFormat(".csv.gz", f"{_TABLES}.compressed:GzipCsvWriter", dialects=True),
    TableFormat(".csv.zst", f"{_TABLES}.zstd:ZstdCsvWriter", dialects=True, extra="zstd"),
    TableFormat(".tsv", f"{_TABLES}.text:TsvWriter"),
    TableFormat(".tsv.gz", f"{_TABLES}.compressed:GzipTsvWriter"),
    TableFormat(".tsv.zst", f"{_TABLES}.zstd:ZstdTsvWriter", extra="zstd"),
    TableFormat(".parquet", f"{_TABLES}.parquet:ParquetWriter"),
    TableFormat(".xlsx", f"{_TABLES}.xlsx:XlsxWriter", extra="xlsx"),
    TableFormat(".h5", f"{_TABLES}.hdf5:Hdf5TableWriter", pictures=True),
)
"""All table formats of objclass."""

_OBJECTS = "objclass.export.objects"

OBJECT_FORMATS = (
    ObjectFormat(
        "QuPath GeoJSON",
        (".geojson", ".geojson.gz"),
        f"{_OBJECTS}.geojson:GeoJsonSink",
        "outline, class, colour, measurements",
        volumes=False,
        series=False,
    ),
    ObjectFormat(
        "ImageJ ROIs",
        (".zip",),
        f"{_OBJECTS}.rois:RoiSink",
        "outline in each plane, class as group, colour",
        library="roifile",
        extra="roi",
    ),
    ObjectFormat(
        "AnnData",
        (".h5ad",),
        f"{_OBJECTS}.h5ad:AnnDataSink",
        "features, classes, probabilities, positions",
        library="anndata",
        extra="anndata",
    ),
    ObjectFormat(
        "OME-Zarr with labels and table",
        (".zarr",),
        f"{_OBJECTS}.omezarr:OmeZarrSink",
        "raw data, label image, class, colour, measurements",
        series=False,
        folder=True,
    ),
    ObjectFormat(
        "points for tracking", (".tracks.csv",), f"{_OBJECTS}.tracks:TrackSink", "position, class, radius"
    ),
)
"""All formats of objects for other programs."""

REPORTS = (ReportFormat(".html", "objclass.report.of_run:RunReport", ("jinja2", "matplotlib"), "report"),)
"""All kinds of reports."""

_LABELS = "objclass.training.labels"

LABEL_FORMATS = (
    LabelFormat("table", (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz"), f"{_LABELS}.tables:read_table"),
    LabelFormat("workbook", (".xlsx",), f"{_LABELS}.tables:read_sheet"),
    LabelFormat("QuPath GeoJSON", (".geojson", ".json", ".geojson.gz"), f"{_LABELS}.geojson:read_geojson"),
    LabelFormat("ImageJ ROIs", (".roi", ".zip"), f"{_LABELS}.rois:read_rois"),
)
"""All formats of labels of objects."""

TABLE_PROFILES = {
    "ilastik": "objclass.export.profiles:ILASTIK",
    "tidy": "objclass.export.profiles:TIDY",
    "skimage": "objclass.export.profiles:SKIMAGE",
    "cellprofiler": "objclass.export.profiles:CELLPROFILER_TABLE",
    "mobie": "objclass.export.profiles:MOBIE",
}
"""Names and order of the columns of tables (``--table_columns``)."""

FEATURE_SETS = {
    "2D Convex Hull Features": "objclass.features.sets.ilastik_hull:PLANE",
    "2D Skeleton Features": "objclass.features.sets.skeleton:FEATURES",
    "3D Convex Hull Features": "objclass.features.sets.ilastik_hull:VOLUME",
    "Default features": "objclass.features.sets.standard:DEFAULTS",
    "Standard Object Features": "objclass.features.sets.standard:FEATURES",
    "colour": "objclass.features.sets.colour:FEATURES",
    "hull": "objclass.features.sets.convex_hull:FEATURES",
    "parts": "objclass.features.sets.parts:FEATURES",
    "radial": "objclass.features.sets.radial:FEATURES",
    "regionprops": "objclass.features.sets.regionprops:FEATURES",
    "texture": "objclass.features.sets.texture:FEATURES",
}
"""Name of a feature set (ilastik: plugin) -> its features."""

ILASTIK_FEATURE_SETS = (
    "2D Convex Hull Features", "2D Skeleton Features", "3D Convex Hull Features", "Standard Object Features",
)  # fmt: skip
"""Those that ilastik has: it opens no project that uses others."""

PROJECT_WRITERS = {".ilp": "objclass.export.projects:save_project"}
"""Suffix of a project -> the function that writes it."""

KERNELS = (
    "objclass.pixels.filters:passes",
    "objclass.descent:descents",
    "objclass.session.bounds:bounding",
    "objclass.pixels.pointwise:eigenvalues_of_three",
    "objclass.pixels.pointwise:eigenvalues_of_two",
    "objclass.pixels.pointwise:magnitudes",
    "objclass.novelty:nearness",
    "objclass.segmentation.growing:flooding",
    "objclass.features.statistics.folding:kernel",
    "objclass.segmentation.labeller:labelling",
    "objclass.segmentation.labeller:wide_labelling",
    "objclass.features.neighbourhood:around",
    "objclass.features.sets.ilastik_hull:defects",
    "objclass.features.sets.skeleton:skeletons",
    "objclass.export.paint:classes",
    "objclass.export.paint:probabilities",
    "objclass.session.painting:rims",
    "objclass.segmentation.label_store:renumbering",
)
"""Every kernel, by the name of its function."""


def image_formats(*, plugins: bool = False) -> Iterator[ImageFormat]:
    """All image formats; those of plug-ins last."""
    yield from IMAGE_FORMATS
    if plugins:
        yield from _entries(IMAGE_PLUGINS, ImageFormat)


def image_format(suffix: str) -> ImageFormat | None:
    """The image format with this suffix, None if there is none."""
    return _first(image_formats, lambda entry: suffix in entry.suffixes)


def output_formats(*, plugins: bool = False) -> Iterator[OutputFormat]:
    """Everything that ``--output_format`` takes: single files, then sequences."""
    outputs = [output for entry in image_formats(plugins=plugins) for output in entry.outputs]
    yield from outputs
    yield from (output.sequence for output in outputs if output.part_axes)


def output_format(name: str) -> OutputFormat | None:
    """The format of that name, None if there is none."""
    return _first(output_formats, lambda entry: entry.name == name)


def table_formats(*, plugins: bool = False) -> Iterator[TableFormat]:
    """All table formats; those of plug-ins last."""
    yield from TABLE_FORMATS
    if plugins:
        yield from _entries(TABLE_PLUGINS, TableFormat)


def table_format(path: str) -> TableFormat | None:
    """The table format of a path by its suffix, in any case; None if there is none.

    Examples
    --------
    >>> table_format("out/cells.1.CSV.gz").suffix, table_format("out/.csv"), table_format("cells.gz")
    ('.csv.gz', None, None)
    """
    name = os.path.basename(path).lower()
    return _first(table_formats, lambda entry: name.endswith(entry.suffix) and len(name) > len(entry.suffix))


def object_formats(*, plugins: bool = False) -> Iterator[ObjectFormat]:
    """All formats of objects; those of plug-ins last."""
    yield from OBJECT_FORMATS
    if plugins:
        yield from _entries(OBJECT_PLUGINS, ObjectFormat)


def object_format(path: str) -> ObjectFormat | None:
    """The format of objects of a file of that name, None if there is none."""
    return _first(object_formats, lambda entry: path.lower().endswith(entry.suffixes))


def report_format(path: str) -> ReportFormat | None:
    """The kind of report of a file of that name, None if there is none."""
    return next((entry for entry in REPORTS if path.lower().endswith(entry.suffix)), None)


def label_format(path: str) -> LabelFormat | None:
    """The format of labels of a file of that name; None for painted images and projects."""
    return next((entry for entry in LABEL_FORMATS if path.lower().endswith(entry.suffixes)), None)


def feature_sets() -> list[str]:
    """Names of all feature sets; those of plug-ins last."""
    return [*FEATURE_SETS, *(name for name, _ in _plugins(FEATURE_PLUGINS) if name not in FEATURE_SETS)]


def feature_set(name: str) -> Any:
    """The features of a set, None if there is no such set."""
    if name in FEATURE_SETS:
        return resolve(FEATURE_SETS[name])
    return next((found() for plugin, found in _plugins(FEATURE_PLUGINS) if plugin == name), None)


def resolve(target: Any) -> Any:
    """Import what ``"module:name"`` names; anything else is returned as it is."""
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _first(entries: Any, wanted: Any) -> Any:
    """The first entry that is wanted; plug-ins are only looked for if there is none of our own."""
    for plugins in (False, True):
        for entry in entries(plugins=plugins):
            if wanted(entry):
                return entry
    return None


def _entries(group: str, kind: type) -> Iterator[Any]:
    """The entries of all plug-ins of a group.

    Raises
    ------
    PluginError
        If one is not of the type that its group is for.
    """
    for name, load in _plugins(group):
        entry = load()
        if not isinstance(entry, kind):
            message = f"plug-in '{name}' of {group}: expected an objclass.registry.{kind.__name__}, not {type(entry).__name__}"
            raise PluginError(message)
        yield entry


@cache
def _plugins(group: str) -> tuple[tuple[str, Any], ...]:
    """Names of the plug-ins of a group, sorted, and what loads each."""
    from importlib.metadata import entry_points

    points: dict[str, Any] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        other = points.setdefault(point.name, point)
        if other is not point:
            message = f"two plug-ins of {group} are called '{point.name}', {other.value} and {point.value}: uninstall one"
            raise PluginError(message)
    return tuple((name, partial(_load, point)) for name, point in points.items())


def _load(point: Any) -> Any:
    """Load an entry point of another package, which may fail in any way."""
    try:
        return point.load()
    except PluginError:
        raise
    except Exception as fault:
        message = f"plug-in '{point.name}' ({point.value}) cannot be loaded: {type(fault).__name__}: {fault}"
        raise PluginError(message) from fault
