"""Digests of inputs and outputs: what a file was when it was read or written."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HEAD_BYTES = 1 << 16
"""Number of leading bytes in the digest ``header``: data are not read a second time for it."""

_FOLDER_HEADERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray", "attributes.json")
"""Header files of a folder of chunks."""


def file_entry(path: str, digest: str = "header") -> dict[str, Any]:
    """Size and time of the last change of a file or folder, and a digest.

    Of a folder, which as an input may have millions of chunks, the time is that of the folder itself and there is no
    size; `output_entry` has those of all files in it.

    Parameters
    ----------
    digest
        ``none``; ``header``: of the first 64 KiB, of a folder those of its headers; ``content``: of all bytes,
        of a folder all names and files in it.
    """
    entry: dict[str, Any] = {"path": path}
    with contextlib.suppress(OSError):
        found = Path(path)
        status = found.stat()
        entry["modified"] = _time(status.st_mtime)
        if not found.is_dir():
            entry["size"] = status.st_size
        entry |= _DIGESTS[digest](found)
    return entry


def output_entry(path: str, digest: str = "none") -> dict[str, Any]:
    """A `file_entry`; of a folder with the number of its files (``files``), their size, and the latest time of a change in it."""
    entry = file_entry(path, digest)
    with contextlib.suppress(OSError):
        if os.path.isdir(path):
            entry |= _inside(path)
    return entry


def _inside(folder: str) -> dict[str, Any]:
    """Number of files in a folder, their size in bytes, and the latest time of a change of a file or folder."""
    files, size, latest = 0, 0, 0.0
    for place, _, names in os.walk(folder):
        statuses = [os.lstat(os.path.join(place, name)) for name in names]
        files += len(statuses)
        size += sum(status.st_size for status in statuses)
        latest = max(latest, os.stat(place).st_mtime, *(status.st_mtime for status in statuses))
    return {"files": files, "size": size, "modified": _time(latest)}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def essence(entry: Any) -> Any:
    """What is equal in two copies of a file: its digest; where there is none, its size and time of change."""
    return entry.get("sha256") or entry.get("sha256_head") or (entry.get("size"), entry.get("modified"))


def _header(path: Path) -> dict[str, str]:
    if path.is_dir():
        headers = [path / name for name in _FOLDER_HEADERS if (path / name).is_file()]
        return {"sha256_head": hashlib.sha256(b"".join(_head(header) for header in headers)).hexdigest()}
    is_whole = path.stat().st_size <= HEAD_BYTES
    return {"sha256" if is_whole else "sha256_head": hashlib.sha256(_head(path)).hexdigest()}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _content(path: Path) -> dict[str, str]:
    if not path.is_dir():
        with path.open("rb") as file:
            return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    whole = hashlib.sha256()
    for inside in sorted(inside for inside in path.rglob("*") if inside.is_file()):
        whole.update(inside.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        whole.update(bytes.fromhex(_content(inside)["sha256"]))
    return {"sha256": whole.hexdigest()}


_DIGESTS: dict[str, Callable[[Path], dict[str, str]]] = {
    "none": lambda _: {},
    "header": _header,
    "content": _content,
}
