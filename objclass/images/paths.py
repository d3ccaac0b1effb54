"""The grammar of paths: the forms of one argument of the command line.

    argument = part { os.pathsep part }          several files are one stack
    part     = file or glob [ "/" array or glob ]   the array inside .h5 .hdf5 .ilp .npz .n5 .zarr,
                                                    the scene of .czi .lif .nd2
             | URL                                  the same of a store on a server

A name that exists is taken literally, whatever characters it has. Functions whose results depend on the system
(separators, drives, equal names) take its rules, `posixpath` or `ntpath`, as ``rules``.
"""

import os
import re
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from glob import glob, has_magic
from types import ModuleType
from typing import NamedTuple
from unicodedata import normalize

from objclass.errors import ImageError, listed, without_secrets
from objclass.images.trust import check_readable
from objclass.images.urls import is_url, parse_url
from objclass.registry import image_format, image_formats, resolve

MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Files of which each folder of a Zarr store has one."""

_FILE_ADDRESS = re.compile(
    rf"file://(?:localhost)?{'/' if os.name == 'nt' else ''}([/a-z][^{os.pathsep}]*)", re.IGNORECASE
)
"""``file:///data/a.tif``; on Windows, ``file:///C:/data/a.tif``."""

_URL = r"[A-Za-z][A-Za-z0-9+.-]+://(?:[^/@\s]*@)?[^/;?\s]*"
"""Of a URL the scheme, password, server and port: its colons join nothing."""

_QUERY = r"\?(?:(?![:;][A-Za-z][A-Za-z0-9+.-]+://).)*"
"""Of a URL what follows ``?``, to the end or to the next URL."""

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")

_RESERVED = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?", re.IGNORECASE)
"""Devices of Windows, which no suffix makes a file of."""

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
"""Letters that no name has on Windows; after a colon, a hidden stream of the file would be written."""


class Part(NamedTuple):
    """A file, or the URL of a store, and the name of the array in it (``""`` if none is given)."""

    file: str
    internal: str = ""

    @property
    def public(self) -> str:
        """The file; of a URL, without its secrets."""
        return without_secrets(self.file) if is_url(self.file) else self.file

    def __repr__(self) -> str:
        return f"Part({self.public!r}, {self.internal!r})"

    def __str__(self) -> str:
        return f"{self.public}/{self.internal}" if self.internal else self.public


def expand(spec: str) -> list[Part]:
    """The arrays that an argument names, sorted as strings.

    Raises
    ------
    ImageError
        If a part of it matches nothing.
    """
    if not spec.strip():
        message = "the path of an image is empty"
        raise ImageError(message)
    if os.sep == "/" and _DRIVE.match(spec) and not os.path.exists(spec):
        message = f"{spec}: is a path of Windows, expected one of this machine, with /"
        raise ImageError(message)
    return sorted({part for piece in _pieces(spec) for part in _matches(piece)}, key=str)


def dataset_name(spec: str) -> tuple[str, str]:
    """Nickname and directory of the image that an argument names, for the names of outputs.

    The nickname is the common part of the names of the files, without suffix, and of the
    names of the arrays in them; the directory is that of the first file.
    """
    try:
        parts = expand(spec)
    except ImageError:  # names are needed before files are checked
        parts = [Part(*((piece, "") if is_url(piece) else split_internal(piece))) for piece in _pieces(spec)]
    files = [part.public if is_url(part.file) else os.path.abspath(part.file) for part in parts]
    internal = _common([part.internal for part in parts]).lstrip("/")
    names = [_common_name(files), internal.replace("/", "-")]
    nickname = "-".join(name for name in names if name).replace("*", "")
    return nickname, os.path.dirname(files[0])


def split_stack(spec: str, rules: ModuleType = os.path) -> list[str]:
    r"""The files or globs that one argument joins, as written.

    A colon before ``//`` or before a port separates nothing (``http://…``, ``host:8000/…``).

    Examples
    --------
    >>> import ntpath, posixpath
    >>> split_stack("a.tif:b_*.tif", posixpath)
    ['a.tif', 'b_*.tif']
    >>> split_stack(r"C:\a.tif;\\server\share\b.tif", ntpath)
    ['C:\\a.tif', '\\\\server\\share\\b.tif']
    >>> split_stack("https://me:word@host:80/a.zarr?at=1:2Z:s3://bucket/b.zarr", posixpath)
    ['https://me:word@host:80/a.zarr?at=1:2Z', 's3://bucket/b.zarr']
    """
    separator = re.escape(rules.pathsep) + (r"(?!//|\d{1,5}\b)" if rules.pathsep == ":" else "")
    url = rf"{_URL}(?:(?!{separator})[^?])*(?:{_QUERY})?"
    return re.findall(rf"{url}|(?:(?!{separator}).)+", spec, re.DOTALL) or [spec]


def public(spec: str) -> str:
    """An argument without the secrets of its URLs."""
    return os.pathsep.join(map(without_secrets, split_stack(spec))) if "://" in spec else spec


def relative(path: str, folder: str, rules: ModuleType = os.path) -> str:
    """The path as seen from a folder, with ``/``; absolute where it is on another drive.

    Examples
    --------
    >>> import ntpath
    >>> relative("D:/data/raw.tif", "D:/projects", ntpath), relative("C:/raw.tif", "D:/projects", ntpath)
    ('../data/raw.tif', 'C:/raw.tif')
    """
    if is_url(path):
        return without_secrets(path)
    path = rules.abspath(path)
    if rules.splitdrive(path)[0].lower() == rules.splitdrive(rules.abspath(folder))[0].lower():
        path = rules.relpath(path, folder)
    return path.replace(rules.sep, "/")


def joined_to(folder: str, spec: str) -> str:
    """The images that a project in a folder names, as seen from here; URLs stay as they are.

    Examples
    --------
    >>> joined_to("/project", "https://host/a.zarr")
    'https://host/a.zarr'
    """
    return os.pathsep.join(
        piece if is_url(piece) else os.path.join(folder, piece) for piece in split_stack(spec)
    )


def check_here(spec: str) -> None:
    """Refuse images on servers: a project that names them does not ask for requests.

    Raises
    ------
    ImageError
        If one is.
    """
    there = next((public(piece) for piece in split_stack(spec) if is_url(piece)), None)
    if there is not None:
        message = f"{there} is on a server, of which nothing is requested because a project names it: give it as an image"
        raise ImageError(message)


IGNORES_CASE = sys.platform in ("win32", "darwin")
"""Whether ``A.tif`` and ``a.tif`` are one file, as on the usual disks of Windows and macOS."""


def same_file_key(path: str, *, ignores_case: bool = IGNORES_CASE) -> str:
    """A key that is equal for all paths of the same file, as far as their names show.

    Where case does not count, the composition of letters (é as one sign, or as e and an accent) does not either.

    Examples
    --------
    >>> same_file_key("/a/Cells.tif", ignores_case=True) == same_file_key("/A/cells.TIF", ignores_case=True)
    True
    """
    return normalize("NFC", normalize("NFC", path).casefold()) if ignores_case else path


def name_fault(path: str, rules: ModuleType = os.path) -> str | None:
    r"""Why no file can have this path by the rules of a system; None if one can.

    Examples
    --------
    >>> import ntpath
    >>> name_fault("out\\aux.h5", ntpath)
    "'aux.h5' is the name of a device on Windows"
    >>> name_fault(r"\\server\share\a 1.h5", ntpath)
    """
    if is_url(path):
        return "is a URL, and results are not written to servers"
    if rules.sep == "/":
        return None
    _, tail = rules.splitdrive(path)
    for name in re.split(r"[\\/]", tail):
        if name in ("", ".", ".."):
            continue
        if forbidden := _FORBIDDEN.search(name):
            return f"'{name}' has {forbidden.group()!r} in it, which no name has on Windows"
        if name[-1] in ". ":
            return f"'{name}' ends in {name[-1]!r}, which Windows would drop"
        if _RESERVED.fullmatch(name):
            return f"'{name}' is the name of a device on Windows"
    return None


def _common_name(files: list[str]) -> str:
    stems = [os.path.splitext(file)[0] for file in files]
    prefix = _common(stems).rstrip(os.sep)
    return os.path.basename(prefix) or f"stack_at-{os.path.basename(stems[0])}"


def _common(names: list[str]) -> str:
    return os.path.commonprefix(names)  # noqa: RUF071  letters, not components, are meant


def container_cuts(path: str, rules: ModuleType = os.path, *, plugins: bool = False) -> list[int]:
    r"""Places where a path may end that names a container, what follows being the name of an array.

    Examples
    --------
    >>> import ntpath, posixpath
    >>> container_cuts("runs.h5/f.h5/data", posixpath), container_cuts(r"C:\f.h5\data", ntpath)
    ([7, 12], [7])
    """
    slashes = re.escape("/" + rules.sep)
    held = [s for entry in image_formats(plugins=plugins) if entry.arrays for s in entry.suffixes]
    suffixes = "|".join(map(re.escape, held))
    return [match.end() for match in re.finditer(rf"(?:{suffixes})(?=$|[{slashes}])", path, re.IGNORECASE)]


def internal_name(path: str, rules: ModuleType = os.path) -> str:
    r"""The name of an array, from what follows the container's path: with ``/`` on all systems.

    Examples
    --------
    >>> import ntpath
    >>> internal_name(r"\volume\data", ntpath), internal_name("/volume//")
    ('volume/data', 'volume')
    """
    return path.replace(rules.sep, "/").strip("/")


def split_internal(path: str) -> tuple[str, str]:
    """Cut ``f.h5/volume/data`` into the file and what is in it.

    The path is split at the last suffix of a container that is a file; directories may have such
    suffixes, too.
    """
    if os.path.isfile(path):
        return path, ""
    cuts = container_cuts(path) or ([] if _files(path) else container_cuts(path, plugins=True))
    found = {cut: _files(path[:cut]) for cut in cuts}
    names_file = [cut for cut in cuts if any(_is_container(file) for file in found[cut])]
    names_nothing = [cut for cut in cuts if not found[cut]]
    best = (names_file or names_nothing)[-1:]
    return (path[: best[0]], internal_name(path[best[0] :])) if best else (path, "")


def kind(path: str) -> str:
    """The suffix that says which reader it is for; ``.zarr`` for any folder that is such a store."""
    if is_url(path):
        return ".n5" if parse_url(path)[0].name.lower().endswith(".n5") else ".zarr"
    suffix = os.path.splitext(path.rstrip("/" + os.sep))[1].lower()
    return ".zarr" if suffix != ".n5" and is_zarr(path) else suffix


def is_zarr(folder: str) -> bool:
    """Whether a folder is a Zarr store, or part of one."""
    return any(os.path.exists(os.path.join(folder, mark)) for mark in MARKS)


def _is_container(path: str) -> bool:
    is_n5 = path.lower().endswith(".n5") and os.path.isdir(path)
    return os.path.isfile(path) or is_n5 or is_zarr(path)


def _without_file_addresses(spec: str) -> str:
    """The same, addresses of files on this machine as paths.

    Examples
    --------
    >>> _without_file_addresses("file:///data/a%20b.zarr/0")
    '/data/a b.zarr/0'
    """
    from urllib.parse import unquote

    return _FILE_ADDRESS.sub(lambda found: unquote(found[1]), spec)


def _pieces(spec: str) -> list[str]:
    spec = _without_file_addresses(spec) if "://" in spec else spec
    whole = os.path.expanduser(spec)
    if os.path.exists(whole):
        return [whole]
    return [os.path.expanduser(piece) for piece in split_stack(spec)]


def _files(pattern: str) -> list[str]:
    return [pattern] if os.path.exists(pattern) else glob(pattern)


def _matches(piece: str) -> list[Part]:
    if is_url(piece):
        store, internal = parse_url(piece)
        return [Part(str(store), internal)]
    file, internal = split_internal(piece)
    files = _files(file)
    if not files:
        message = f"{'no file matches' if has_magic(file) else 'no such file'}: {file}"
        raise ImageError(message)
    if not has_magic(internal):
        return [Part(name, internal) for name in files]
    return _arrays(piece, files, internal)


def _arrays(piece: str, files: list[str], pattern: str) -> list[Part]:
    held = {file: _list_arrays(file) for file in files}
    named = [Part(file, pattern) for file in files if pattern in held[file]]
    if named:
        return named
    globbed = [Part(f, name) for f in files for name in held[f] if fnmatchcase(name, pattern)]
    if not globbed:
        names = [name for arrays in held.values() for name in arrays]
        message = f"no array matches: {piece}; expected one of {listed(names)}"
        raise ImageError(message)
    return globbed


def _list_arrays(file: str) -> list[str]:
    found = image_format(kind(file))
    assert found is not None  # paths are cut only at suffixes of such formats
    arrays_in: Callable[[str], list[str]] = resolve(found.arrays)
    check_readable(file)
    try:
        return arrays_in(file)
    except ImageError:
        raise
    except Exception as error:  # a damaged file can cause any exception of its parser
        message = f"{file}: cannot be listed, the file may be damaged: {error}"
        raise ImageError(message) from error


def counted_order(parts: list[Part]) -> list[Part]:
    """The parts in the order of the numbers in their names: ``img2`` before ``img10``."""
    return sorted(parts, key=lambda part: natural(str(part)))


def natural(name: str) -> list[str | int]:
    """A key that sorts names by the numbers in them: ``img2`` before ``img10``."""
    return [int(c) if c.isdecimal() else c for c in re.split(r"(\d+)", name)]


def pick(path: str, held: list[str], internal: str = "", noun: str = "array") -> str:
    """The name of an array in a file: the given one, or the only one.

    Raises
    ------
    ImageError
        If there is none of that name, or several and none was named.
    """
    if internal in held:
        return internal
    if not internal and len(held) == 1:
        return held[0]
    wrong = f"there is no {noun} '{internal}'," if internal else f"which {noun}?"
    message = f"{path}: {wrong} expected {path}/NAME with one of {listed(held)}"
    if not held:
        message = f"{path}: has no {noun} of 2 to 5 dimensions"
    raise ImageError(message)
