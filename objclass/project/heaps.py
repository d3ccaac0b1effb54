"""Check HDF5's global heaps (texts of variable length) before HDF5 itself reads them.

HDF5 walks the objects of such a heap by their sizes; where damage leaves free space of size 0, or objects
so large that the sum wraps around, it never
ends, and cannot be interrupted (seen with HDF5 2.0); where the length of a text is damaged, it allocates that much memory. Layout: "Global Heap" in the
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
"""Layout of a text in a dataset: its length, the heap, the object in it."""

SMALLEST = 4096
"""The size of the smallest heap that HDF5 makes."""


SCANNED_BYTES = 1 << 26
"""Files up to this size are searched for heaps; in larger ones only the heaps of texts that are read are checked."""


def check_heaps(path: str) -> None:
    """Refuse a file whose heaps would make HDF5 hang; in a large file `check_texts` checks the texts that are read.

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


def check_texts(dataset: h5py.Dataset, maximum: int) -> None:
    """Refuse a dataset of texts that are damaged, or claim more than ``maximum`` bytes, before HDF5 reads them.

    Raises
    ------
    ProjectError
        If they are damaged; the message names the dataset.
    """
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None or text.length is not None or dataset.file.driver == "fileobj":
        return  # of fixed length, or in a file that is being written
    path = dataset.file.filename
    pieces = list(_pieces(dataset))
    if dataset.compression is not None and os.path.getsize(path) > SCANNED_BYTES:
        message = f"{dataset.name} has compressed texts: they are not read from a file of this size"
        raise ProjectError(message)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        stored = b"".join(
            data[start : start + size // REFERENCE.size * REFERENCE.size] for start, size in pieces
        )
        references = list(REFERENCE.iter_unpack(stored[: len(stored) // REFERENCE.size * REFERENCE.size]))
        for heap in {heap for length, heap, _ in references if length}:
            _check_heap(data, heap)
    claimed = sum(length for length, _, _ in references)
    if claimed > maximum:
        message = f"{dataset.name} claims texts of {claimed} bytes"
        raise ProjectError(message)


def _pieces(dataset: h5py.Dataset) -> Iterator[tuple[int, int]]:
    """Positions in the file of the references of a dataset, and their numbers of bytes."""
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
        return  # not a heap: the letters are part of pixels
    place, end = at + HEADER.size, at + size
    while place + OBJECT.size <= end:
        index, _, _, length = OBJECT.unpack_from(data, place)
        # the size of free space includes its header, that of an object does not
        room = end - place if index == 0 else end - place - OBJECT.size
        if length > room or (index == 0 and length == 0):
            message = f"its texts are damaged (global heap at byte {at})"
            raise ProjectError(message)
        if index == 0:
            return
        place += OBJECT.size + (length + 7) // 8 * 8
