"""A look at HDF5's global heaps (texts of variable length) before HDF5 itself reads them.

HDF5 walks the objects of such a heap by their sizes; where damage leaves free space of size 0, or objects
so large that the sum wraps around, it walks for ever, and nothing can interrupt it (seen with HDF5 2.0); where the length of a text is damaged, it makes room for it first. Layout: "Global Heap" in the
HDF5 File Format Specification, III.E.
"""

import mmap
import os
import struct
from collections.abc import Iterator

import h5py

from objclass.errors import ProjectError

SIGNATURE = b"GCOL"
HEADER, OBJECT = struct.Struct("<4sB3sQ"), struct.Struct("<HHIQ")
REFERENCE = struct.Struct("<IQI")
"""A text in a dataset: its length, the heap, the object in it."""

SMALLEST = 4096
"""HDF5 makes no smaller heap."""


SCANNED_BYTES = 1 << 26
"""Files up to this size are looked through; of larger ones only the heaps of the texts that are read."""


def check_heaps(path: str) -> None:
    """Refuse a file whose heaps would not let HDF5 go; of a large one `check_texts` looks at what is read.

    Raises
    ------
    ProjectError
        If one has objects that do not fit into it, or free space of size 0.
    """
    if not 0 < os.path.getsize(path) <= SCANNED_BYTES:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(SIGNATURE)
        while at >= 0:
            _check_heap(data, at)
            at = data.find(SIGNATURE, at + len(SIGNATURE))


def check_texts(dataset: h5py.Dataset, most: int) -> None:
    """Refuse a dataset of texts that are damaged, or claim more than ``most`` bytes, before HDF5 reads them.

    Raises
    ------
    ProjectError
        With the dataset and what is wrong.
    """
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None or text.length is not None or dataset.file.driver == "fileobj":
        return  # of fixed length, or in a file that is being written
    path = dataset.file.filename
    pieces = list(_pieces(dataset))
    if dataset.compression is not None and os.path.getsize(path) > SCANNED_BYTES:
        message = f"{dataset.name} has packed texts: they are not read from a file of this size"
        raise ProjectError(message)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stored = b"".join(
            data[start : start + size // REFERENCE.size * REFERENCE.size] for start, size in pieces
        )
        references = list(REFERENCE.iter_unpack(stored[: len(stored) // REFERENCE.size * REFERENCE.size]))
        for heap in {heap for length, heap, _ in references if length}:
            _check_heap(data, heap)
    claimed = sum(length for length, _, _ in references)
    if claimed > most:
        message = f"{dataset.name} claims texts of {claimed} bytes"
        raise ProjectError(message)


def _pieces(dataset: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Where the references of a dataset lie in the file, and how many bytes of them."""
    start = dataset.id.get_offset()
    if start is not None:
        yield start, dataset.size * REFERENCE.size
    elif dataset.chunks is not None and dataset.compression is None:
        for number in range(dataset.id.get_num_chunks()):
            chunk = dataset.id.get_chunk_info(number)
            yield chunk.byte_offset, chunk.size


def _check_heap(data: mmap.mmap, at: int) -> None:
    if at + HEADER.size > len(data):
        return
    _, version, reserved, size = HEADER.unpack_from(data, at)
    if version != 1 or any(reserved) or not SMALLEST <= size <= len(data) - at:
        return  # not a heap: the letters stand in somebody's pixels
    place, end = at + HEADER.size, at + size
    while place + OBJECT.size <= end:
        index, _, _, length = OBJECT.unpack_from(data, place)
        # the size of free space counts its header, that of an object does not
        room = end - place if index == 0 else end - place - OBJECT.size
        if length > room or (index == 0 and length == 0):
            message = f"its texts are damaged (global heap at byte {at})"
            raise ProjectError(message)
        if index == 0:
            return
        place += OBJECT.size + (length + 7) // 8 * 8
