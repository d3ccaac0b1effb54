"""Tables in HDF5, with pictures of the objects."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.hdf5_file import Hdf5File
from objclass.core import AXES, AnyArray, from_canonical
from objclass.export.columns import Columns
from objclass.export.tables.spool import Spool, SpoolWriter
from objclass.export.tables.writer import TableDetails, other_columns, reading
from objclass.pipeline.crops import ObjectImage

PICTURE_AXES = "xyzc"

KINDS = ("labeling", "raw")
"""Pictures of an object: which pixels belong to it, and the raw data."""

MAXIMUM_DESCRIBED = 64_000

PART_ROWS = 20_000
"""Rows of a part that are read at once."""


class Hdf5TableWriter(SpoolWriter):
    """ilastik's HDF5 table: dataset ``/table``, a compound type with a field for each column.

    Text is UTF-8 bytes, as many as the longest text has. Pictures of row i are ``/images/i/labeling`` and
    ``/images/i/raw``, axes x, y, z, c without those of length 1.
    """

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """HDF5 describes all columns within 64 KiB."""
        import h5py

        described = len(h5py.h5t.py_create(np.dtype([(name, float) for name in header])).encode())
        if described > MAXIMUM_DESCRIBED:
            return f"{len(header)} columns are more than an HDF5 table can have: write .csv or .parquet"
        return None

    @classmethod
    def names(cls, path: str) -> list[str]:
        """The names of the columns of a table."""
        with _opened(path) as file:
            return list(file["table"].dtype.names)

    @classmethod
    def merge(cls, parts: Sequence[str], path: str) -> None:
        """Write a table with the rows and pictures of its parts."""
        table, names = cls(path), cls.names(parts[0])
        for part in parts:
            if cls.names(part) != names:
                raise other_columns(part, parts[0])
            for columns in _rows(part):
                table.append(columns)
            for pictures in _pictures(part):
                table.keep(pictures)
        table.close()

    def __init__(self, path: str, details: TableDetails | None = None) -> None:
        super().__init__(path, details)
        self._pictures = Spool(os.path.dirname(path) or ".")
        self._count = self._marked = 0

    def append_pictures(self, pictures: Sequence[ObjectImage]) -> None:
        """Keep a picture of each object, in the order of the rows."""
        for picture in pictures:
            kinds = zip(KINDS, (picture.mask, picture.raw), strict=True)
            self.keep({kind: _stored_picture(pixels) for kind, pixels in kinds if pixels is not None})

    def keep(self, pictures: Mapping[str, tuple[str, AnyArray]]) -> None:
        """Keep the pictures of an object: ``labeling`` or ``raw`` -> axes and pixels."""
        for kind, (axes, pixels) in pictures.items():
            place = [f"images/{self._count}/{kind}", axes]
            self._pictures.append({
                "place": np.array(place, object), "shape": np.array(pixels.shape, int), "pixels": pixels.ravel(),
            })  # fmt: skip
        self._count += 1

    def mark(self) -> None:
        """Mark the rows and pictures so far as permanent."""
        super().mark()
        self._pictures.mark()
        self._marked = self._count

    def undo(self) -> None:
        """Remove the rows and pictures since the last `mark`."""
        super().undo()
        self._pictures.undo()
        self._count = self._marked

    def close(self) -> None:
        """Write the file at once: its layout depends on when parts of it are written.

        Raises
        ------
        OSError
            If it could not be written.
        """
        count, types = self.rows.types()
        row_type = np.dtype(list(types.items()))
        # many columns need a newer layout of the file than h5py's default
        file = Hdf5File(self.path, libver="latest")
        with file as h5:
            for picture in self._pictures.records():
                _write_picture(h5, **picture)
                file.check()
            table = h5.create_dataset("table", (count,), row_type, track_times=False)
            start = 0
            for columns in self.rows.parts():
                rows = np.zeros(len(next(iter(columns.values()))), row_type)
                for name, values in columns.items():
                    rows[name] = _stored(values)
                table[start : start + len(rows)] = rows
                start += len(rows)


def _write_picture(h5: Any, place: AnyArray, shape: AnyArray, pixels: AnyArray) -> None:
    from objclass.images.attributes import axistags

    name, axes = place
    data = h5.create_dataset(
        name, data=pixels.reshape(shape), track_times=False, compression="gzip" if axes else None
    )
    data.attrs["axistags"] = axistags(axes)
    data.attrs["type"] = "image" if name.endswith("raw") else "labeling"


def _stored_picture(pixels: AnyArray) -> tuple[str, AnyArray]:
    """Axes and pixels as they are stored: without axes of length 1."""
    lengths = dict(zip(AXES, pixels.shape, strict=True))
    axes = "".join(axis for axis in PICTURE_AXES if lengths[axis] > 1)
    return axes, from_canonical(pixels, axes)


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Text as UTF-8 bytes."""
    return np.array([text.encode() for text in values], np.bytes_) if values.dtype.kind == "O" else values


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """A table that we have written, opened to be read."""
    import h5py

    with reading(path), h5py.File(path, "r") as file:
        yield file


def _rows(path: str) -> Iterator[Columns]:
    """The rows of a table; of an empty one its columns."""
    with _opened(path) as file:
        table = file["table"]
        for start in range(0, max(len(table), 1), PART_ROWS):
            rows = table[start : start + PART_ROWS]
            yield {name: _values(rows[name]) for name in rows.dtype.names}


def _values(values: NDArray[Any]) -> NDArray[Any]:
    is_text = values.dtype.kind == "S"
    return np.array([text.decode() for text in values.tolist()], object) if is_text else values


def _pictures(path: str) -> Iterator[Mapping[str, tuple[str, AnyArray]]]:
    """The pictures of each object, in the order of the rows: ``labeling`` or ``raw`` -> axes and pixels."""
    with _opened(path) as file:
        for row in range(len(file["images"]) if "images" in file else 0):
            pictures = file[f"images/{row}"]
            yield {kind: (_axes(pictures[kind]), pictures[kind][()]) for kind in KINDS if kind in pictures}


def _axes(picture: Any) -> str:
    return "".join(tag["key"] for tag in json.loads(picture.attrs["axistags"])["axes"])
