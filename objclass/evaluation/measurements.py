"""Training tables from tables that any program has measured: which columns are features, what the others are."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.errors import ImageError, InputError, UsageError, listed
from objclass.images.trust import check_kind, unpacked_size
from objclass.project.model import MAXIMUM_CLASSES, MISSING_VALUE
from objclass.project.training_table import TrainingTable

if TYPE_CHECKING:
    from polars import DataFrame

MAXIMUM_WORKBOOK = 1 << 29
"""Bytes of a workbook when it is unpacked."""

DECIMAL_COMMA = re.compile(rb"(?:^|;)-?\d+,\d+(?:;|\r?$)", re.MULTILINE)

NOT_UTF_8 = "--table {}: not UTF-8 text: save it as CSV in UTF-8 (in Excel: CSV UTF-8)"

NOT_MEASURED: Mapping[str, str] = {
    "ids and places in the experiment": (
        r"|index|unnamed.*|(.*[_ ])?id|.*_oid|labels?|object_?number|image_?number|number_object_number|timestep|time|"
        r"t|frame|track.*|lineage.*|parent.*|children.*|metadata.*|url_.*|file_?name.*|path_?name.*|plate|well|row|column|"
        r"site|field|batch|donor|patient|animal|slide|fold|split|seed"
    ),
    "predictions and probabilities": (
        r"p_.*|prob(abilit(y|ies))?([_ ].*)?|.*[_ ]probability|predicted.*|prediction.*|uncertainty|novelty|confidence|"
        r"correct|user label"
    ),
    "positions": (
        r"[xyz]|([xyz][_ ]?)?(center|centre|centroid|position|pos|location)([_ -].*|\d)?|[xyz][mc]?|"
        r"weighted_?centroid.*|.*[_ ](center|centroid|location)_[xyz]|.*location_.*|.*bounding ?box.*|bbox.*|box[_ ].*|b[xy]|"
        r"coord<(maximum|minimum)>.*"
    ),
}
"""What numeric columns hold that is no measurement of the object -> the names that such columns have."""

USED = "the class, image or group"
AGAIN = "the class again"

IMAGE_NAMES = ("image", "imagenumber", "image_number", "filename", "file_name", "image_name", "imagename")
TIME_NAMES = ("timestep", "frame", "time", "t")
LABEL_NAMES = ("labelimage_oid", "label", "label_id", "object_id", "objectnumber", "object_number", "id")
CENTER = re.compile(
    r"[xyz]|(areashape_|location_|object_)?(center|centre|centroid|position|pos)[_ -]?([xyz]|[012])( .*)?|"
    r"[xyz][_ -]?(center|centre|centroid)|center of the object_[012]",
    re.IGNORECASE,
)
"""Names of columns with the centre of an object; which axis is which is of no importance."""


Table = Mapping[str, AnyArray]
"""Name of a column -> its values (n,): numbers, or objects where it holds texts."""


@dataclass(frozen=True)
class Measurements:
    """A table that was measured by any program.

    Parameters
    ----------
    table
        Its rows that have a class.
    left_out
        What a column holds that is no feature -> its columns.
    unlabelled, missing
        Number of rows without a class, and of values that are not finite.
    """

    table: TrainingTable
    left_out: Mapping[str, tuple[str, ...]]
    unlabelled: int
    missing: int


def read_measurements(
    path: str, class_column: str = "class", group_column: str | None = None, features: Sequence[str] = ()
) -> Measurements:
    """Read a table with a row for each object: CSV, TSV, Parquet or ``.xlsx``.

    Parameters
    ----------
    class_column, group_column
        Columns with the class of an object, and with what it is held out with; by default its image, if there is such
        a column.
    features
        Columns to learn from; by default all numbers that are no ids, positions or probabilities.

    Raises
    ------
    InputError
        If the file cannot be read, or its classes cannot be told apart.
    UsageError
        If it lacks a column, or one is not numeric.
    """
    every = read_columns(path)
    for option, name in (("class_column", class_column), ("group_column", group_column)):
        if name is not None and name not in every:
            message = f"--{option} {name}: {path} has the columns {listed(every, 12)}"
            raise UsageError(message)
    given = [text_of(value) for value in every[class_column].tolist()]
    labelled = np.array([bool(name) for name in given], bool)
    columns = {name: values[labelled] for name, values in every.items()}
    classes = [name for name in given if name]
    names = _class_names(path, class_column, classes)
    number_of = {name: k for k, name in enumerate(names, 1)}
    numbers = np.array([number_of[name] for name in classes], int)
    kinds = kinds_of(columns, {class_column, group_column, image_column(columns)}, numbers)
    chosen = _chosen(path, columns, kinds, features)
    with np.errstate(over="ignore"):  # what float32 cannot hold is missing
        rows = np.stack([columns[name].astype(np.float32) for name in chosen], axis=1)
    groups = columns[group_column].tolist() if group_column is not None else None
    table = training_table(columns, rows, numbers, names, chosen, groups=groups, group_name=group_column)
    left_out = {
        kind: tuple(name for name, other in kinds.items() if other == kind and name not in chosen)
        for kind in sorted(set(kinds.values()) - {"", USED})
    }
    return Measurements(
        table,
        {kind: names for kind, names in left_out.items() if names},
        int(np.count_nonzero(~labelled)),
        int(np.count_nonzero(~np.isfinite(rows))),
    )


def training_table(
    columns: Table,
    rows: NDArray[np.float32],
    classes: IntArray,
    names: Sequence[str],
    features: Sequence[str],
    *,
    sets: Sequence[str] = (),
    groups: Sequence[Any] | None = None,
    group_name: str | None = None,
) -> TrainingTable:
    """The rows of a table as a training table: images, time steps, ids and positions are those of its columns.

    Parameters
    ----------
    columns
        All columns.
    rows, features, sets
        Values to learn from (n, features), the names of their columns and their feature sets.
    classes, names
        The class of each row, from 1, and the names of the classes.
    groups, group_name
        What each row is held out with, and what that is called; images, if it is called so. By default the images
        of the table.
    """
    group_name = group_name or "group"
    image = columns[column].tolist() if (column := image_column(columns)) else [""] * len(rows)
    if groups is not None and grouping_by(group_name) == "image":
        image, groups = list(groups), None
    image = [text_of(value) for value in image]
    images, places = _numbered(image)
    timestep = _integers(columns, TIME_NAMES)
    timestep = np.zeros(len(rows), np.int64) if timestep is None else timestep
    ids = _ids(columns, places, timestep)
    return TrainingTable(
        np.where(np.isfinite(rows), rows, np.float32(MISSING_VALUE)),
        classes,
        places,
        timestep,
        np.arange(1, len(rows) + 1) if ids is None else ids,
        _centers(columns, len(rows)),
        tuple(names),
        images,
        tuple(features),
        tuple(sets) or ("",) * len(features),
        tuple(text_of(value) for value in groups) if groups is not None else (),
        group_name,
        has_ids=ids is not None,
    )


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], IntArray]:
    """The different names, sorted, and the place of each among them."""
    known = sorted(set(names))
    places = {name: k for k, name in enumerate(known)}
    return tuple(known), np.array([places[name] for name in names], int)


def grouping_by(group_column: str) -> str:
    """The value of ``group_by`` for a column."""
    return "image" if group_column.strip().lower() in IMAGE_NAMES else group_column


def read_columns(path: str) -> Table:
    """The columns of the table in a file.

    Raises
    ------
    UsageError
        If its name has another suffix.
    InputError, ImageError
        If it cannot be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        message = f"--table {path}: expected a name that ends in {', '.join(READERS)}"
        raise UsageError(message)
    try:
        check_kind(path)
        frame = READERS[suffix](path)
    except (InputError, ImageError, MemoryError):
        raise
    except ImportError as fault:
        message = f'--table {path}: {suffix} is read with {fault.name or "openpyxl"}, which is not installed: pip install "objclass[xlsx]", or save it as CSV'
        raise InputError(message) from None
    except UnicodeDecodeError:
        raise InputError(NOT_UTF_8.format(path)) from None
    except OSError as fault:
        message = f"--table {path}: {fault.strerror or fault}"
        raise InputError(message) from None
    except Exception as fault:  # noqa: BLE001  a library that reads a damaged file may raise anything
        why = str(fault).partition("\n")[0].rstrip(". ")
        message = f"--table {path} cannot be read: {why}: expected a table with one header row"
        raise InputError(message) from None

    return {name: _values(frame, name) for name in frame.columns}


def _values(frame: "DataFrame", name: str) -> AnyArray:
    """Whole numbers as int64, other ones, or where some are missing, as float64; texts as objects."""
    from polars import Float64, Int64

    column = frame[name]
    is_boolean, is_whole = str(column.dtype) == "Boolean", column.dtype.is_integer()
    if not (column.dtype.is_numeric() or is_boolean):
        return np.array(column.to_list(), object)
    if column.null_count() or not (is_whole or is_boolean):
        column = column.cast(Float64)
    elif is_whole:
        column = column.cast(Int64, strict=False)
    found: AnyArray = column.to_numpy()
    return found


def _read_parquet(path: str) -> "DataFrame":
    import polars

    return polars.read_parquet(path)


def _read_workbook(path: str) -> "DataFrame":
    """The first sheet."""
    import polars

    data = Path(path).read_bytes()
    if (size := unpacked_size(data)) > MAXIMUM_WORKBOOK:
        message = f"--table {path}: {size >> 20} MB when it is unpacked: expected at most {MAXIMUM_WORKBOOK >> 20}: save it as CSV"
        raise InputError(message)
    return polars.read_excel(BytesIO(data), engine="openpyxl", infer_schema_length=None)


def _read_text(path: str) -> "DataFrame":
    """Comma-, semicolon- or tab-separated; after a semicolon numbers may have a decimal comma."""
    import polars

    data = Path(path).read_bytes()
    header = data[: data.find(b"\n") + 1 or len(data)].decode("utf-8-sig")
    separator = max("\t;,", key=header.count)
    is_comma = separator == ";" and DECIMAL_COMMA.search(data) is not None
    try:
        return polars.read_csv(
            data,
            separator=separator,
            decimal_comma=is_comma,
            infer_schema_length=None,
            null_values=["", "NA", "NaN", "nan", "N/A", "inf", "-inf"],
        )
    except polars.exceptions.ComputeError as fault:
        if "invalid utf-8" in str(fault):
            raise InputError(NOT_UTF_8.format(path)) from None
        raise


READERS: Mapping[str, Callable[[str], "DataFrame"]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".parquet": _read_parquet,
    ".xlsx": _read_workbook,
}
"""Suffix -> the function that reads such a table."""


def text_of(value: Any) -> str:
    """The name of a class, image or group: whole numbers without a point, ``""`` for what is missing."""
    if value is None or value != value:  # noqa: PLR0124 (NaN)
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def image_column(columns: Table) -> str | None:
    """The column with the names of images, if there is one."""
    known = {name.strip().lower(): name for name in columns}
    return next((known[name] for name in IMAGE_NAMES if name in known), None)


def _class_names(path: str, column: str, classes: Sequence[str]) -> list[str]:
    """All classes, numbers by value before words."""

    def order(name: str) -> tuple[bool, int, str]:
        return not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    found = sorted(set(classes), key=order)
    if not 2 <= len(found) <= MAXIMUM_CLASSES:
        message = (
            f"--class_column {column}: {path} has {len(found)} classes there: expected 2 to {MAXIMUM_CLASSES}"
        )
        raise InputError(message)
    return found


def kinds_of(columns: Table, used: Collection[str | None], classes: IntArray) -> dict[str, str]:
    """What each column holds that is no feature; ``""`` for features.

    Parameters
    ----------
    columns
        The labelled rows.
    used
        Names of the columns with the class, image or group.
    classes
        The class of each row.
    """
    kinds = {}
    for name, values in columns.items():
        if name in used:
            kinds[name] = USED
        elif not _is_numeric(values):
            kinds[name] = "text"
        else:
            simple = name.strip().lower()
            known = (kind for kind, names in NOT_MEASURED.items() if re.fullmatch(names, simple))
            kinds[name] = next(known, AGAIN if _tells(values.astype(float), classes) else "")
    return kinds


def _is_numeric(values: AnyArray) -> bool:
    return values.dtype.kind in "iufb"


def _tells(values: FloatArray, classes: IntArray) -> bool:
    """Whether whole numbers are the classes by another name."""
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        return False
    pairs = np.unique(np.column_stack([values, classes]), axis=0)
    return len(pairs) == len(np.unique(values)) == len(np.unique(classes))


def _chosen(path: str, columns: Table, kinds: Mapping[str, str], features: Sequence[str]) -> list[str]:
    """The columns to learn from."""
    for name in features:
        if name not in columns:
            message = f"--features {name}: {path} has the columns {listed(columns, 12)}"
            raise UsageError(message)
        if kinds[name] in (USED, "text"):
            message = f"--features {name}: it holds {kinds[name]}: expected numbers"
            raise UsageError(message)
    chosen = list(dict.fromkeys(features)) or [name for name, kind in kinds.items() if not kind]
    if not chosen:
        message = f"--table {path}: none of its columns is a measurement ({listed(columns, 12)}): name them with --features"
        raise InputError(message)
    return chosen


def _integers(columns: Table, names: Collection[str]) -> NDArray[np.int64] | None:
    """The first of the columns that holds whole numbers, if there is one."""
    known = {name.strip().lower(): values for name, values in columns.items() if values.dtype.kind in "iu"}
    return next((known[name].astype(np.int64) for name in names if name in known), None)


def _ids(columns: Table, image: AnyArray, timestep: AnyArray) -> NDArray[np.int64] | None:
    """Ids of the objects, if each is a single one of its image and time step; else None."""
    for name in LABEL_NAMES:
        found = _integers(columns, [name])
        if found is not None and len(np.unique(np.stack([image, timestep, found]), axis=1).T) == len(image):
            return found
    return None


def _centers(columns: Table, count: int) -> FloatArray:
    """Positions (n, 3), in whatever order of axes; NaN where they are not known."""
    named = [
        values for name, values in columns.items() if _is_numeric(values) and CENTER.fullmatch(name.strip())
    ][:3]
    if len(named) < 2:
        return np.full((count, 3), np.nan)
    return np.stack([*named, *([np.zeros(count)] * (3 - len(named)))], axis=1).astype(float)
