"""Zarr stores on servers: what describes an array is fetched once, chunks when they are read."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from objclass.images.paths import MARKS
from objclass.images.remote import RefusedError, Remote, Span
from objclass.images.trust import MAXIMUM_CHUNK_BYTES

_DOCUMENTS = {*MARKS, ".zmetadata"}
"""Names of the files that describe groups and arrays."""

_INDEX_BYTES = 64_000_000
"""Of the indices of shards that are kept: each region of a shard needs its index again."""


class RemoteStore(Store):
    """A store on a server, read-only; it keeps what describes groups and arrays, and travels to other processes.

    Attributes
    ----------
    documents
        Files that describe groups and arrays, as they were when they were first read; None for those that are absent.
    refused
        Those of them that the server refuses (403), as S3 does with absent ones that the user may not list.
    maximum
        Maximum bytes of a packed chunk.
    absences
        How many chunks were not there so far.
    """

    supports_writes = supports_deletes = False
    supports_listing = True

    def __init__(
        self,
        remote: Remote,
        documents: dict[str, bytes | None] | None = None,
        maximum: int = MAXIMUM_CHUNK_BYTES,
    ) -> None:
        super().__init__(read_only=True)
        self.remote = remote
        self.documents = documents or {}
        self.maximum = maximum
        self.refused: dict[str, RefusedError] = {}
        self.absences = 0
        self._indices: OrderedDict[tuple[str, Span], bytes] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.remote, dict(self.documents), self.maximum)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and self.remote == other.remote

    def __hash__(self) -> int:
        return hash(self.remote.url)

    def __str__(self) -> str:
        return self.remote.url.public

    __repr__ = __str__

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes of a file; None if the server says that there is no such file."""
        if key.rpartition("/")[2] in _DOCUMENTS:
            content = await self._document(key)
        else:
            content = await self._chunk(key, _span(byte_range))
        if content is not None and len(content) == 0:
            message = f"{key} is empty"
            raise ValueError(message)
        return None if content is None else prototype.buffer.from_bytes(content)

    async def _document(self, key: str) -> bytes | None:
        if key not in self.documents:
            try:
                self.documents[key] = await asyncio.wrap_future(self.remote.begin(key))
            except RefusedError as fault:
                self.documents[key], self.refused[key] = None, fault
        return self.documents[key]

    async def _chunk(self, key: str, span: Span | None) -> bytes | None:
        is_index = span is not None and span[0] is not None and span[0] < 0  # zarr reads it from the end
        place = key, span or (None, None)
        if is_index and place in self._indices:
            self._indices.move_to_end(place)
            return self._indices[place]
        content = await asyncio.wrap_future(self.remote.begin(key, span, self.maximum))
        if content is None:
            self.absences += 1
        elif is_index:
            self._indices[place] = content
            while sum(map(len, self._indices.values())) > _INDEX_BYTES:
                self._indices.popitem(last=False)
        return content

    def described_by(self, internal: str) -> tuple[str, bytes]:
        """The file that describes an array that was opened, and its content."""
        keys = (f"{internal}/{name}".lstrip("/") for name in ("zarr.json", ".zarray"))
        return next((key, found) for key in keys if (found := self.documents.get(key)) is not None)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        """Parts of several files, as `get`."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return await asyncio.wrap_future(self.remote.begin(key)) is not None

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names of what is in a folder."""
        for name in await asyncio.wrap_future(self.remote.begin_listing(prefix.rstrip("/"))):
            yield name

    def list(self) -> Any:
        """Never called."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> Any:
        """Never called."""
        raise NotImplementedError

    async def set(self, key: str, value: Any) -> None:
        """Never called."""
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Never called."""
        raise NotImplementedError


def _span(part: Any) -> Span | None:
    if isinstance(part, RangeByteRequest):
        return part.start, part.end
    if isinstance(part, OffsetByteRequest):
        return part.offset, None
    return (-part.suffix, None) if isinstance(part, SuffixByteRequest) else None
