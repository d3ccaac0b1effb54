"""URLs of images on servers: ``s3://bucket/a.zarr``, ``https://host/a.ome.zarr/labels/cells``; only their text is looked at."""

import os
import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from objclass.errors import ImageError, without_secrets
from objclass.registry import image_format

PACKAGES = {
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "adlfs"),
}
"""Scheme -> the package that fsspec needs for it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""A scheme has two letters and more: ``C://`` is a drive."""

_ODD_PORT = re.compile(r":(?!\d*$)[^@\]]*$")
"""Behind the last colon of a server's name; it may stand in brackets, with colons."""

_STORE = re.compile(r".*?\.(?:zarr|n5)(?=$|/)(?!.*\.(?:zarr|n5)(?:$|/))", re.IGNORECASE)
"""The path up to the last part that is named as a store."""


def is_url(path: str) -> bool:
    """Whether it is a URL of any scheme; a path is none, nor the address of a file on this machine (``file:``)."""
    return scheme(path) not in ("", "file")


def scheme(url: str) -> str:
    """The scheme of a URL, lower case."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


class StoreUrl(NamedTuple):
    """The URL of a store of chunks.

    ``base`` is the folder, with a password if one was given, ``query`` what each request needs behind ``?``.
    """

    base: str
    query: str = ""

    def __str__(self) -> str:
        return f"{self.base}?{self.query}" if self.query else self.base

    @property
    def public(self) -> str:
        """The same without secrets."""
        return without_secrets(self.base)

    @property
    def is_web(self) -> bool:
        """Whether it is on a web server."""
        return self.base.startswith("http")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.base.rpartition("/")[2]

    @property
    def is_named(self) -> bool:
        """Whether its name says that it is a store."""
        return _STORE.fullmatch(self.name) is not None

    @property
    def above(self) -> "StoreUrl | None":
        """The folder above, None if that is the whole server or bucket."""
        above = self.base.rpartition("/")[0]
        return self._replace(base=above) if above.count("/") > 2 else None

    def within(self, key: str) -> "StoreUrl":
        """A folder of the store."""
        return StoreUrl(self.of(key).partition("?")[0], self.query) if key else self

    def of(self, key: str) -> str:
        """The URL of a file of the store; without a name that of the store."""
        name = quote(key) if self.is_web else key
        return str(self._replace(base=f"{self.base}/{name}")) if key else str(self)

    def __repr__(self) -> str:
        return f"StoreUrl({self.public!r})"


def parse_url(url: str) -> tuple[StoreUrl, str]:
    """The store that a URL names, and the name of the array in it (``""`` if none is given).

    Raises
    ------
    ImageError
        If the scheme is unknown, or it names a file that is not read from a server.

    Examples
    --------
    >>> store, inside = parse_url("https://host/runs/a.ome.zarr/labels/my%20cells?sig=abc")
    >>> store.base, store.query, inside
    ('https://host/runs/a.ome.zarr', 'sig=abc', 'labels/my cells')
    """
    kind = scheme(url)
    if kind not in PACKAGES:
        message = f"{url}: URLs of this kind are not read, expected {', '.join(f'{name}://' for name in PACKAGES)}, or a path"
        raise ImageError(message)
    is_web = kind.startswith("http")
    base, _, query = url.partition("?") if is_web else (url, "", "")
    place, slash, path = base[len(kind) + 3 :].partition("/")
    if not place:
        message = f"{url}: names no {'server' if is_web else 'bucket'}, expected {kind}://NAME/…"
        raise ImageError(message)
    if is_web and (
        "#" in base or _ODD_PORT.search(place)
    ):  # the rest may be part of a password: it is not shown
        message = f"a URL of {kind}:// has letters that are not allowed there: write %23 for #, %2F for / in a password"
        raise ImageError(message)
    path = (slash + path).rstrip("/")
    _refuse_pattern(url, path)
    cut = _STORE.match(path)
    file = cut[0] if cut else path
    _refuse_file(url, file)
    inside = path[len(file) :].strip("/")
    return StoreUrl(f"{kind}://{place}{file}", query), unquote(inside) if is_web else inside


def _refuse_pattern(url: str, path: str) -> None:
    if "*" in path or "[" in path:
        message = (
            f"{url}: servers are not searched for patterns: name each image, or list them in a --manifest"
        )
        raise ImageError(message)


def _refuse_file(url: str, path: str) -> None:
    suffix = os.path.splitext(path)[1].lower()
    found = image_format(suffix) if suffix else None
    held = re.search(r"\.(h5|hdf5|ilp|npz|zip|czi|lif|nd2)/", path, re.IGNORECASE)
    if held or (found is not None and not found.remote):
        message = (
            f"{url}: only OME-Zarr, Zarr and N5 are read from servers: download this file, and give its path"
        )
        raise ImageError(message)
