"""The files of a lane that a worker runs: written to a folder of the coordinator, which takes them over.

A worker may be killed, and its lane be run again, even by two workers at once: each attempt has names of its own.
What lanes share is written by the coordinator: rows and pictures of tables come to it as plain data.
"""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from objclass.errors import OutputError
from objclass.export.atomic import Stamp, remove, stamp, sync
from objclass.export.columns import Columns
from objclass.export.files import LaneFiles
from objclass.images import sequence
from objclass.pipeline.crops import ObjectImage


class Pictures(NamedTuple):
    """Pictures of objects, for a table."""

    images: list[ObjectImage]


@dataclass(frozen=True)
class Delivery:
    """What an attempt leaves to the coordinator: plain data.

    Parameters
    ----------
    files
        Path -> temporary name.
    merged
        Path of a container -> the file whose content was taken over into it.
    entries
        Paths of tables, and what is to be added to each, in this order.
    """

    files: dict[str, str] = field(default_factory=dict)
    merged: dict[str, Stamp] = field(default_factory=dict)
    entries: list[tuple[str, Columns | Pictures]] = field(default_factory=list)


class AttemptFiles:
    """The files of a lane, as the worker's sinks see them.

    Parameters
    ----------
    workspaces
        Parent folder of final names -> the folder of the coordinator where they are written.

    Raises
    ------
    OutputError
        If this machine does not see one of the folders.
    """

    def __init__(self, workspaces: Mapping[str, str]) -> None:
        for folder in workspaces.values():
            if not os.path.isdir(folder):
                message = f"{folder}: no such folder on the worker {platform.node()}: expected a disk that all workers share"
                raise OutputError(message)
        self._workspaces, self._attempt, self._numbers = workspaces, token_hex(8), count(1)
        self._containers: dict[str, Any] = {}
        self._is_complete = False
        self.delivery = Delivery()

    def add(self, path: str) -> str:
        """The temporary name of a file that only this lane writes."""
        return self.delivery.files.setdefault(path, self._name_for(path))

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence."""
        folder = self._name_for(paths[0])
        self.delivery.files.update(
            {path: sequence.slice_path(folder, number) for number, path in enumerate(paths)}
        )
        return folder

    def share(self, path: str, make: Callable[[str], Any], *, merge: bool = False) -> Any:
        """A container of this lane alone, which is to be merged with an older one; else a table, for its pictures."""
        if not merge:
            return _Table(path, self.delivery)
        if path not in self._containers:
            self._containers[path] = make(self.add(path))
        return self._containers[path]

    def append(self, table: str, writer: Any, columns: Columns) -> None:
        """Add the rows of this lane to a table."""
        self.delivery.entries.append((table, columns))

    def commit(self, kept: Callable[[], None]) -> None:
        """Complete the containers, and wait until all files are on the disk: under their temporary names."""
        for path, container in self._containers.items():
            self.delivery.merged[path] = stamp(path)
            container.close(path if os.path.lexists(path) else None)
        self._containers.clear()
        for temporary in self.delivery.files.values():
            sync(temporary)
        self._is_complete = True
        kept()

    def abort(self) -> None:
        """Remove all files, unless they are complete."""
        if self._is_complete:
            return
        for container in self._containers.values():
            with suppress(Exception):
                container.abort()
        for temporary in self.delivery.files.values():
            with suppress(OSError):
                remove(temporary)

    def _name_for(self, path: str) -> str:
        target = Path(path)
        name = f"{self._attempt}-{next(self._numbers)}{target.suffix}"
        return str(Path(self._workspaces[str(target.parent)]) / name)


class _Table:
    """A table of lanes, as the sink of pictures sees it."""

    def __init__(self, path: str, delivery: Delivery) -> None:
        self._path, self._delivery = path, delivery

    def append_pictures(self, pictures: Sequence[ObjectImage]) -> None:
        """Add a picture of each object."""
        self._delivery.entries.append((self._path, Pictures(list(pictures))))


class Arrival:
    """The entries of a delivery, committed as sinks are.

    Parameters
    ----------
    entries
        As in `Delivery`.
    files
        The files of the lane, here.
    maker_of
        Path of a table -> the function that opens it.
    """

    def __init__(
        self,
        entries: list[tuple[str, Columns | Pictures]],
        files: LaneFiles,
        maker_of: Callable[[str], Callable[[str], Any]],
    ) -> None:
        self._entries, self._files, self._maker_of = entries, files, maker_of

    def commit(self) -> None:
        """Add rows and pictures to the tables."""
        for path, entry in self._entries:
            maker = self._maker_of(path)
            if isinstance(entry, Pictures):
                self._files.share(path, maker).append_pictures(entry.images)
            else:
                self._files.append(path, maker, entry)

    def abort(self) -> None:
        """Discard them."""
        self._entries.clear()
