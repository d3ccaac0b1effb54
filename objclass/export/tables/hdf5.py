"""Tables in HDF5, with pictures of the objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.hdf5_file import Hdf5File
from objclass.core import AXES, AnyArray, from_canonical
from objclass.export.tables.spool import SpoolWriter
from objclass.export.tables.writer import TableDetails
from objclass.pipeline.crops import ObjectImage

PICTURE_AXES = "xyzc"

MAXIMUM_DESCRIBED = 64_000


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

    def __init__(self, path: str, details: TableDetails | None = None) -> None:
        super().__init__(path, details)
        # many columns need a newer layout of the file than h5py's default
        self._file = Hdf5File(path, libver="latest")
        self._pictures = self._marked = 0

    def append_pictures(self, pictures: Sequence[ObjectImage]) -> None:
        """Write a picture of each object, in the order of the rows."""
        for row, picture in enumerate(pictures, self._pictures):
            self._write_picture(f"images/{row}/labeling", picture.mask, "labeling")
            if picture.raw is not None:
                self._write_picture(f"images/{row}/raw", picture.raw, "image")
        self._pictures += len(pictures)

    def _write_picture(self, name: str, pixels: AnyArray, kind: str) -> None:
        from objclass.images.attributes import axistags

        lengths = dict(zip(AXES, pixels.shape, strict=True))
        axes = "".join(axis for axis in PICTURE_AXES if lengths[axis] > 1)
        data = self._file.h5.create_dataset(
            name, data=from_canonical(pixels, axes), track_times=False, compression="gzip" if axes else None
        )
        data.attrs["axistags"] = axistags(axes)
        data.attrs["type"] = kind
        self._file.check()

    def flush(self) -> None:
        """Write the pictures so far."""
        self._file.flush()

    def mark(self) -> None:
        """Mark the rows and pictures so far as permanent."""
        super().mark()
        self._file.mark()
        self._marked = self._pictures

    def undo(self) -> None:
        """Remove the rows and pictures since the last `mark`."""
        super().undo()
        self._pictures = self._marked
        self._file.undo()

    def close(self) -> None:
        """Write the rows, and finish the file."""
        count, types = self.rows.types()
        row_type = np.dtype(list(types.items()))
        table = self._file.h5.create_dataset("table", (count,), row_type, track_times=False)
        start = 0
        for columns in self.rows.parts():
            rows = np.zeros(len(next(iter(columns.values()))), row_type)
            for name, values in columns.items():
                rows[name] = _stored(values)
            table[start : start + len(rows)] = rows
            start += len(rows)
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        self._file.abort()


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Text as UTF-8 bytes."""
    return np.array([text.encode() for text in values], np.bytes_) if values.dtype.kind == "O" else values
