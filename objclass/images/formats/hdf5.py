"""HDF5, as ilastik reads and writes it: a dataset with its axes in the attribute ``axistags``."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from tempfile import TemporaryFile
from typing import Any
from weakref import finalize

import h5py
import numpy as np

from objclass.compute.context import Context
from objclass.compute.hdf5_file import Hdf5File
from objclass.compute.threads import Task
from objclass.core import AXES, AnyArray, PixelSize
from objclass.errors import ImageError, OutputError, listed
from objclass.images.attributes import attributes, element_size, stored_axes, stored_drange, tagged_size
from objclass.images.chunked.grid import Grid, Packing, chunk_shape, deflated
from objclass.images.chunked.packed import read_packed, unpacker
from objclass.images.source import Source, is_image_shape, known_pixel_size, reason
from objclass.images.trust import check_chunk, check_kind
from objclass.images.writer import OutputImage

_MAXIMUM_LINKS = 16
"""On the way to a dataset, as HDF5 itself has it."""


@dataclass(frozen=True)
class Hdf5Store:
    """A dataset; the file is open only while it is read."""

    path: str
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    context: Context

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the chunks that it touches are read."""
        with _opened(self.path) as file:
            dataset = file[self.internal]
            unpack = unpacker(dataset)
            if unpack is None:
                pixels: AnyArray = dataset[region]
                return pixels
            now = os.stat(self.path)
            key = (self.path, self.internal, now.st_ino, now.st_size, now.st_mtime_ns)
            return read_packed(dataset, region, unpack, key, self.context)


def open_dataset(path: str, internal: str, context: Context) -> Source:
    """Open a dataset; without a name the only one of 2 to 5 dimensions.

    Raises
    ------
    ImageError
        If it is no HDF5 file, or has no such dataset, or several and none was named, or it leads to another
        file.
    """
    with _opened(path) as file:
        if internal:
            check_links(path, file, internal, follow_links=context.follow_links)
        dataset = _find(file, path, internal)
        check_storage(path, dataset, follow_links=context.follow_links)
        name = internal.strip("/") or dataset.name.strip("/")
        if dataset.chunks:
            check_chunk(f"{path}/{name}", dataset.chunks, dataset.dtype)
        shape = tuple(dataset.shape or ())
        axes, axes_from = stored_axes(dataset.attrs, shape)
        store = Hdf5Store(path, name, shape, dataset.dtype, dataset.chunks, context)
        size = _pixel_size(dataset, axes)
        return Source(f"{path}/{name}", store, axes, axes_from, stored_drange(dataset.attrs), size)


def arrays_in(path: str) -> list[str]:
    """Names of the datasets of 2 to 5 dimensions, sorted.

    Raises
    ------
    ImageError
        If it is no HDF5 file.
    """
    with _opened(path) as file:
        return [d.name.strip("/") for d in _datasets(file) if is_image_shape(d.shape or ())]


def check_links(path: str, file: Any, internal: str, *, follow_links: bool) -> None:
    """Refuse a name in an HDF5 file that leads into another file, by a link somewhere on its way.

    Raises
    ------
    ImageError
        With the link and where it leads.
    """
    _follow(path, file, internal, _MAXIMUM_LINKS, follow_links=follow_links)


def _follow(path: str, start: Any, name: str, maximum: int, *, follow_links: bool) -> Any:
    """The member of a group, link by link; None where there is none."""
    here = start.file if name.startswith("/") else start
    for part in filter(None, name.split("/")):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            _check_elsewhere(
                f"{path}{here.name.rstrip('/')}/{part}", path, link.filename, follow_links=follow_links
            )
        if isinstance(link, h5py.SoftLink):
            here = _follow(path, here, link.path, maximum - 1, follow_links=follow_links) if maximum else None
        elif link is not None:
            here = here.get(part)
        else:
            return None
    return here


def check_storage(path: str, dataset: Any, *, follow_links: bool) -> None:
    """Refuse a dataset whose values lie in other files: external storage, virtual datasets.

    Raises
    ------
    ImageError
        With the dataset and where its values are.
    """
    name_of_dataset = f"{path}{dataset.name}"
    for name, *_ in dataset.external or ():
        _check_elsewhere(name_of_dataset, path, os.fsdecode(name), follow_links=follow_links)
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            if source.file_name == ".":
                check_links(path, dataset.file, source.dset_name, follow_links=follow_links)
            else:
                _check_elsewhere(name_of_dataset, path, source.file_name, follow_links=follow_links)


def _check_elsewhere(name_of_dataset: str, path: str, other: str, *, follow_links: bool) -> None:
    if not follow_links:
        message = (
            f"{name_of_dataset}: is in another file, {other}: give the path of that file, or --follow_links"
        )
        raise ImageError(message)
    there = os.path.join(os.path.dirname(path), other)
    if os.path.exists(there):
        check_kind(there)


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        is_hdf5 = h5py.is_hdf5(path)
        what = f"is damaged: {reason(error)}" if is_hdf5 else "is not an HDF5 file"
        message = f"{path}: {what}"
        raise ImageError(message) from error
    with file:
        yield file


def _datasets(file: Any) -> list[Any]:
    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return sorted(found, key=lambda dataset: str(dataset.name))


def _find(file: Any, path: str, internal: str) -> Any:
    datasets = _datasets(file) if not internal else []
    images = [dataset for dataset in datasets if is_image_shape(dataset.shape or ())]
    if len(images) == 1:
        return images[0]
    if internal and isinstance(file.get(internal), h5py.Dataset):
        return file[internal]
    held = listed([_described(dataset) for dataset in images or _datasets(file)])
    if internal:
        message = f"{path}: there is no dataset '{internal}', expected one of {held}"
    elif images:
        message = f"{path}: which dataset? expected {path}/NAME with one of {held}"
    else:
        message = f"{path}: has no dataset of 2 to 5 dimensions; it holds {held}"
    raise ImageError(message)


def _described(dataset: Any) -> str:
    return f"{dataset.name.strip('/')} {dataset.shape} {dataset.dtype}"


def _pixel_size(dataset: Any, axes: str) -> PixelSize | None:
    """By the first of: axistags; ``element_size_um``."""
    elements = np.ravel(dataset.attrs.get("element_size_um", ()))
    size = tagged_size(dataset.attrs, axes)
    if size is None and elements.shape == (3,):
        micrometres = dict(zip("zyx", elements, strict=True))
        size = known_pixel_size(micrometres, dict.fromkeys("xyz", "um"), axes)
    return size


class Hdf5Container:
    """A file that is being written, to which several writers add datasets.

    Parameters
    ----------
    path
        Of the new file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = Hdf5File(path)
        self.writers = 0
        """How many writers are at work."""

    @property
    def h5(self) -> Any:
        """The open file."""
        return self._file.h5

    def check(self) -> None:
        """Raise what the disk has refused."""
        self._file.check()

    def flush(self) -> None:
        """Write all that there is so far."""
        self._file.flush()

    def mark(self) -> None:
        """Keep what was written by the last `flush`."""
        self._file.mark()

    def undo(self) -> None:
        """Go back to the last `mark`."""
        self.writers = 0
        self._file.undo()

    def close(self, previous: str | None = None) -> None:
        """Take over what else the ``previous`` file held, and finish the file."""
        if previous is not None and h5py.is_hdf5(previous):
            with h5py.File(previous, "r") as old:
                _take_over(old, self.h5, previous)
        self._file.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        self._file.abort()


class Hdf5Writer:
    """Writes a dataset with ilastik's attributes.

    Chunks are written whole, in scan order, whatever the blocks were, so that the same image makes
    the same bytes; blocks that come in scan order keep few of them waiting. Each pixel is to be
    written once.

    Parameters
    ----------
    path
        Of the new file, or the container that the dataset is added to.

    Raises
    ------
    OutputError
        If the place of the dataset is inside another dataset.
    """

    container = Hdf5Container

    _compression: tuple[str, int] | None = None
    _pack: Callable[[AnyArray], Any] = staticmethod(np.ascontiguousarray)

    def __init__(self, path: str | Hdf5Container, image: OutputImage, context: Context | None = None) -> None:
        self._internal = image.internal_path.strip("/")
        self._container = Hdf5Container(path) if isinstance(path, str) else path
        self._is_alone = isinstance(path, str)
        _refuse_inside_dataset(self._container.h5, self._container.path, self._internal)
        self._drop_scratch: Callable[[], Any] = lambda: None
        self._dataset = self._sink = self._create(self._container.h5, image)
        if self._container.writers:  # chunks of several outputs by turns would lie as the blocks came
            self._sink = self._create(self._open_scratch(self._container.path), image)
        self._container.writers += 1
        self.chunks: tuple[int, ...] = self._dataset.chunks
        self._grid = Grid(image.shape, self.chunks, image.dtype)
        self._packed: dict[tuple[int, ...], Task[Any]] = {}
        self._order = self._scan(image)
        self._turn = next(self._order, None)
        self._packing = Packing(self._pack, context)

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """None: it holds any image."""
        del image
        return None

    @classmethod
    def clash(cls, previous: str, image: OutputImage) -> str | None:
        """Why the dataset cannot be added to a file that is there."""
        if not h5py.is_hdf5(previous):
            return None
        with h5py.File(previous, "r") as file:
            return _inside_dataset(file, image.internal_path.strip("/"))

    def _open_scratch(self, path: str) -> Any:
        scratch = ExitStack()
        self._drop_scratch = finalize(self, scratch.close)  # goes even if the run fails
        file = TemporaryFile(dir=os.path.dirname(path) or ".")  # noqa: SIM115  closed with the stack
        scratch.enter_context(file)
        return scratch.enter_context(h5py.File(file, "w"))

    def _create(self, file: Any, image: OutputImage) -> Any:
        if self._internal in file:
            del file[self._internal]
        method, level = self._compression or (None, None)
        dataset = file.create_dataset(
            self._internal,
            image.shape,
            image.dtype,
            chunks=chunk_shape(image.axes, image.shape, image.dtype),
            compression=method,
            compression_opts=level,
            track_times=False,
        )
        _describe(dataset, image)
        return dataset

    def _scan(self, image: OutputImage) -> Iterator[tuple[int, ...]]:
        grid = [range(-(-n // c)) for n, c in zip(image.shape, self._dataset.chunks, strict=True)]
        slowest_first = sorted(range(len(grid)), key=lambda axis: AXES.index(image.axes[axis]))
        place = {axis: position for position, axis in enumerate(slowest_first)}
        for index in product(*(grid[axis] for axis in slowest_first)):
            yield tuple(index[place[axis]] for axis in range(len(grid)))

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        for index, chunk in self._grid.add(region, block):
            self._packed[index] = self._packing.put(chunk)
        while self._turn in self._packed and self._packed[self._turn].is_done:
            self._flush(self._turn)
            self._turn = next(self._order, None)
        self._container.check()

    def _flush(self, index: tuple[int, ...]) -> None:
        start = tuple(part.start for part in self._grid.place(index))
        self._sink.id.write_direct_chunk(start, self._packed.pop(index).result())

    def close(self) -> None:
        """Write what is left, and finish the dataset."""
        try:
            for index, chunk in self._grid.rest():
                self._packed[index] = self._packing.put(chunk)
            self._packing.close()
            while self._turn is not None:
                if self._turn in self._packed:
                    self._flush(self._turn)
                self._turn = next(self._order, None)
            if self._sink != self._dataset:
                _move_chunks(self._sink, self._dataset)
            self._dataset.flush()
            self._container.check()
        except BaseException:
            self.abort()
            raise
        self._drop_scratch()
        self._container.writers -= 1
        if self._is_alone:
            self._container.close()

    def abort(self) -> None:
        """Let go of everything; a container that others write to is left to its owner."""
        self._packing.abort()
        if self._is_alone:
            self._container.abort()
        self._drop_scratch()


class CompressedHdf5Writer(Hdf5Writer):
    """Writes a dataset with ilastik's attributes, compressed as ilastik does it."""

    _compression = ("gzip", 1)
    _pack = staticmethod(deflated)


def _inside_dataset(file: Any, internal: str) -> str | None:
    names = internal.split("/")
    for above in ("/".join(names[:n]) for n in range(1, len(names))):
        if isinstance(file.get(above), h5py.Dataset):
            return f"{above} is a dataset, expected a group"
    return None


def _refuse_inside_dataset(file: Any, path: str, internal: str) -> None:
    why = _inside_dataset(file, internal)
    if why is not None:
        message = f"{path}/{internal}: {why}"
        raise OutputError(message)


def _move_chunks(scratch: Any, dataset: Any) -> None:
    """Copy chunks as they are, packed."""
    scratch.file.flush()
    for number in range(scratch.id.get_num_chunks()):
        offset = scratch.id.get_chunk_info(number).chunk_offset
        mask, packed = scratch.id.read_direct_chunk(offset)
        dataset.id.write_direct_chunk(offset, packed, mask)


def _describe(dataset: Any, image: OutputImage) -> None:
    for name, value in attributes(image, image.axes).items():
        dataset.attrs[name] = value
    element = element_size(image.pixel_size)
    if element is not None:
        dataset.attrs["element_size_um"] = element
    for dimension, axis in zip(dataset.dims, image.axes, strict=True):
        dimension.label = axis


def _take_over(old: Any, new: Any, path: str) -> None:
    """Copy what the new group lacks.

    Raises
    ------
    OutputError
        If a group that holds new datasets would take the place of a dataset.
    """
    for name in old.attrs:
        if name not in new.attrs:
            new.attrs[name] = old.attrs[name]
    for name in old:
        link = old.get(name, getlink=True)
        if name in new:
            there, given = old.get(name), new.get(name)
            if isinstance(there, h5py.Group) and isinstance(given, h5py.Group):
                _take_over(there, given, path)
            elif isinstance(there, h5py.Dataset) and isinstance(given, h5py.Group):
                message = f"{path}{given.name}: is a dataset, expected a group"  # by now: of another process
                raise OutputError(message)
        elif isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            new[name] = link
        else:
            old.copy(name, new, name)
