"""A look at HDF5's global heaps (texts of variable length) before HDF5 itself reads them.

HDF5 walks the objects of such a heap by their sizes; where damage leaves free space of size 0, or objects
so large that the sum wraps around, it walks for ever, and nothing can interrupt it (seen with HDF5 2.0); where the length of a text is damaged, it makes room for it first. Layout: "Global Heap" in the
HDF5 File Format Specification, III.E.
"""

import mmap
import struct

import h5py

from objclass.errors import ProjectError

SIGNATURE = b"GCOL"
HEADER, OBJECT = struct.Struct("<4sB3sQ"), struct.Struct("<HHIQ")
REFERENCE = struct.Struct("<IQI")
"""A text in a dataset: its length, the heap, the object in it."""

SMALLEST = 4096
"""HDF5 makes no smaller heap."""


def check_heaps(path: str) -> None:
    """Refuse a file whose heaps would not let HDF5 go.

    Raises
    ------
    ProjectError
        If one has objects that do not fit into it, or free space of size 0.
    """
    with open(path, "rb") as file:
        if not file.read(1):
            return  # an empty file has no map
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(SIGNATURE)
            while at >= 0:
                _check_heap(data, at)
                at = data.find(SIGNATURE, at + len(SIGNATURE))


def check_texts(dataset: h5py.Dataset, most: int) -> None:
    """Refuse a dataset of texts that claim more than ``most`` bytes, before HDF5 makes room for them.

    Raises
    ------
    ProjectError
        With the dataset and the claim.
    """
    text = h5py.check_string_dtype(dataset.dtype)
    start = dataset.id.get_offset()
    if text is None or text.length is not None or start is None:
        return  # of fixed length, or not in one piece
    with open(dataset.file.filename, "rb") as file:
        file.seek(start)
        stored = file.read(dataset.size * REFERENCE.size)
    claimed = sum(length for length, _, _ in REFERENCE.iter_unpack(stored[: len(stored) // 16 * 16]))
    if claimed > most:
        message = f"{dataset.name} claims texts of {claimed} bytes"
        raise ProjectError(message)


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
