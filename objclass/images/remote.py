"""Files on servers, fetched through fsspec: some at a time, with time limits, and again where a fault may pass.

All requests of the process are made by the event loop of fsspec, a thread of its own; the limits here hold for all of
them together. What a server says is never taken for a missing file unless it says just that (404).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from http import HTTPStatus
from random import uniform
from time import monotonic
from typing import Any, TypeVar

from objclass.errors import ImageError, Stop, without_secrets
from objclass.images.source import reason
from objclass.images.trust import MAXIMUM_CHUNK_BYTES, MAXIMUM_DOCUMENT_BYTES
from objclass.images.urls import PACKAGES, StoreUrl, scheme

Result = TypeVar("Result")

REQUESTS = 16
"""Requests that are under way at maximum, of all threads together."""

CONNECT = 10.0
"""Seconds until a connection stands."""

SILENCE = 30.0
"""Seconds that a server may send nothing."""

SLOW = 600.0
"""Seconds that a file may take in all."""

ATTEMPTS = 5
"""How often a file is requested where a fault may pass."""

PATIENCE = 120.0
"""Seconds after the first request of a file in which another one may begin."""

PAUSE = 0.25
"""Seconds before the second attempt, at maximum; twice as many before each further one."""

_PASSING = {408, 425, 429}
"""Codes of HTTP, besides 500 and above, that another attempt may not get."""

_REFUSED = {401, 403}

_ABSENT = {404, 410}

_OF_CONNECTIONS = {
    *("ClientConnectionError", "ClientPayloadError"),
    *("ConnectionError", "HTTPClientError", "IncompleteReadError", "ResponseParserError"),
}
"""Errors of connections of aiohttp and of botocore, by name: they need not be installed."""

_LASTING = {"ClientSSLError", "SSLError"}
"""Of these, the certificate is wrong."""

Span = tuple[int | None, int | None]
"""First byte and the one after the last; a negative first one counts from the end."""


class RefusedError(ImageError):
    """A server has refused to give a file (401, 403)."""


@dataclass(frozen=True)
class Remote:
    """A folder on a server; no connection is part of it, so it travels to other processes.

    Parameters
    ----------
    url
        Of the folder.
    stop
        Whether the run was asked to end: then nothing is requested again.
    """

    url: StoreUrl
    stop: Stop

    def begin(
        self, key: str, span: Span | None = None, maximum: int = MAXIMUM_DOCUMENT_BYTES
    ) -> "Future[bytes | None]":
        """Request a file of the folder, or some of its bytes; None if there is no such file.

        Raises
        ------
        RefusedError
            If the server refuses it.
        ImageError
            If it cannot be fetched, or has more than ``maximum`` bytes.
        """
        return _begin(self._tried(key, partial(_requested, span=span, maximum=maximum)))

    def get(self, key: str) -> bytes | None:
        """A file of the folder; None if there is no such file. Raises as `begin`."""
        return self.begin(key).result()

    def has(self, key: str) -> bool:
        """Whether there is such a file that may be read."""
        try:
            return self.get(key) is not None
        except RefusedError:
            return False

    def check_unchanged(self, key: str, known: bytes) -> None:
        """Refuse an image that is described otherwise than before, or no longer: an absent chunk would be a lost one.

        Raises
        ------
        ImageError
            If it is.
        """
        now = self.get(key)
        if now != known:
            what = "has gone" if now is None else "has changed"
            message = f"{without_secrets(self.url.of(key))}: {what} since the image was opened: run it again"
            raise ImageError(message)

    def version(self, key: str, described: bytes) -> dict[str, str]:
        """What identifies the version of an image.

        That is a digest of the files that describe it, and what the server says of the one named ``key``: its
        ``etag`` and when it was ``modified``.
        """
        return {"documents": sha256(described).hexdigest(), **_begin(self._facts(key)).result()}

    def begin_listing(self, key: str) -> "Future[list[str]]":
        """Request the names of what is in a folder.

        Raises
        ------
        ImageError
            If that is not known: web servers do not list.
        """
        return _begin(self._names(key))

    async def _names(self, key: str) -> list[str]:
        if self.url.is_web:
            message = f"{self.url.public}: web servers do not list folders: name the array behind the URL of its store"
            raise ImageError(message)
        paths = await self._tried(key, _listed)
        return [path.rstrip("/").rpartition("/")[2] for path in paths or ()]

    async def _tried(self, key: str, request: Callable[[str], Awaitable[Result]]) -> Result | None:
        """What a request of a URL returns, after several attempts if need be; None if there is no such file."""
        url, begun, attempt = self.url.of(key), monotonic(), 0
        while True:
            attempt += 1
            fault: Exception
            try:
                return await request(url)
            except Exception as error:  # noqa: BLE001  libraries of many servers raise many kinds
                fault = error
            status = _status(fault)
            if status in _ABSENT or (isinstance(fault, FileNotFoundError) and fault.filename is None):
                return None  # with a name, it is a file of this machine
            seconds = monotonic() - begun
            is_last = attempt == ATTEMPTS or seconds > PATIENCE or self.stop.is_asked
            if is_last or not _may_pass(fault, status):
                raise self._explained(key, fault, status, attempt, seconds) from None
            await asyncio.sleep(PAUSE * 2 ** (attempt - 1) * uniform(0.5, 1.0))  # noqa: S311  no secret

    def _explained(
        self, key: str, fault: Exception, status: int | None, attempts: int, seconds: float
    ) -> ImageError:
        name = without_secrets(self.url.of(key))
        if isinstance(fault, ImageError):
            return fault
        if status in _REFUSED or isinstance(fault, PermissionError):
            hint = "S3 says so of missing files, too, to who may not list them (s3:ListBucket)"
            message = f"{name}: the server refuses it: {status or 403} {_said(fault)}: no permission, or no such file: {hint}"
            return RefusedError(message)
        tried = f" ({attempts} attempts in {seconds:.1f} s)" if attempts > 1 else ""
        code = f"{status} " if status else ""
        message = f"{name}: cannot be fetched: {code}{_said(fault)}{tried}"
        return ImageError(message)

    async def _facts(self, key: str) -> dict[str, str]:
        try:
            found = await asyncio.wait_for(_info(self.url.of(key)), SILENCE)
        except Exception:  # noqa: BLE001  it is not worth failing for: some servers know no HEAD
            return {}
        names = {"etag": ("ETag", "etag"), "modified": ("Last-Modified", "LastModified", "updated")}
        return {fact: str(found[name]) for fact, given in names.items() for name in given if found.get(name)}


def _begin(work: Coroutine[Any, Any, Result]) -> "Future[Result]":
    """Start work in the event loop of fsspec."""
    try:
        from fsspec.asyn import get_loop
    except ImportError:
        work.close()
        message = 'images on servers need more packages: pip install "objclass[remote]"'
        raise ImageError(message) from None
    return asyncio.run_coroutine_threadsafe(work, get_loop())


_most: ContextVar[int] = ContextVar("_most", default=MAXIMUM_CHUNK_BYTES)
"""Maximum bytes of the request that is under way."""


async def _requested(url: str, *, span: Span | None, maximum: int) -> bytes:
    start, stop = span or (None, None)
    expected = _length(span) if span is not None else None
    system, turns = _system(scheme(url))
    if span is None and PACKAGES[scheme(url)] == "s3fs":  # which would read on and on
        start, stop = 0, maximum + 1
    async with turns:
        _most.set(expected or maximum)
        content = bytes(await system._cat_file(url, start=start, end=stop))  # noqa: SLF001  its blocking form cannot be bounded
    if len(content) > maximum:
        raise _too_large(url, maximum)
    if expected is not None and len(content) != expected:
        message = f"{len(content)} bytes came instead of {expected}"
        raise ConnectionError(message)
    return content


def _length(span: Span) -> int | None:
    """Number of bytes, None if it is to the end."""
    start, stop = span
    if start is not None and start < 0:
        return -start
    return stop - (start or 0) if stop is not None else None


def _too_large(url: object, maximum: int) -> ImageError:
    return ImageError(
        f"{url}: has more than {maximum} bytes, expected a chunk or its description: is it damaged?"
    )


async def _info(url: str) -> dict[str, Any]:
    system, turns = _system(scheme(url))
    async with turns:
        return dict(await system._info(url))  # noqa: SLF001  as above


async def _listed(url: str) -> list[str]:
    system, turns = _system(scheme(url))
    async with turns:
        system.invalidate_cache()
        return list(await system._ls(url, detail=False))  # noqa: SLF001  as above


_systems: dict[tuple[int, str], tuple[Any, asyncio.Semaphore]] = {}
"""Process and kind of server -> its connections, and the semaphore of all."""


def _system(kind: str) -> tuple[Any, asyncio.Semaphore]:
    """The connections to servers of a kind; called in the event loop only, so that there is one of each."""
    key = os.getpid(), PACKAGES[kind]
    if key not in _systems:
        turns = next((of for (process, _), (_, of) in _systems.items() if process == key[0]), None)
        _systems[key] = _connected(kind), turns or asyncio.Semaphore(REQUESTS)
    return _systems[key]


def _connected(kind: str) -> Any:
    import fsspec

    options = {"aiohttp": _web_options, "s3fs": _s3_options}.get(PACKAGES[kind], dict)
    try:
        system = fsspec.filesystem(kind, skip_instance_cache=True, **options())
    except ImportError:
        message = f"{kind}:// needs the package {PACKAGES[kind]}: pip install {PACKAGES[kind]}"
        raise ImageError(message) from None
    system.retries = 1  # s3fs: attempts are counted here
    return system


def _web_options() -> dict[str, Any]:
    import aiohttp

    waits = aiohttp.ClientTimeout(total=SLOW, connect=2 * CONNECT, sock_connect=CONNECT, sock_read=SILENCE)

    async def client(**given: Any) -> Any:
        """A session; proxies and passwords are those of the environment (``HTTPS_PROXY``, ``~/.netrc``)."""
        ours = {"timeout": waits, "trust_env": True, "response_class": _bounded()}
        return aiohttp.ClientSession(**{**ours, **given})

    return {"get_client": client}


@cache
def _bounded() -> Any:
    """aiohttp's response, but for endless ones, and whole files in place of the requested bytes."""
    from aiohttp import ClientResponse

    class Bounded(ClientResponse):
        async def read(self) -> bytes:
            if "Range" in self.request_info.headers and self.status == HTTPStatus.OK:
                message = f"{self.url}: its server sends whole files only: sharded images need one that knows range requests"
                raise ImageError(message)
            parts, left = [], _most.get() if self.ok else MAXIMUM_DOCUMENT_BYTES
            async for part in self.content.iter_any():
                parts.append(part)
                left -= len(part)
                if left < 0:
                    raise _too_large(self.url, _most.get())
            return b"".join(parts)

    return Bounded


def _s3_options() -> dict[str, Any]:
    """Options of s3fs: those of the user (``FSSPEC_S3_…``, ``~/.config/fsspec``) come before ours."""
    import fsspec

    ours = {
        "connect_timeout": CONNECT,
        "read_timeout": SILENCE,
        "max_pool_connections": REQUESTS,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
    }
    given = fsspec.config.conf.get("s3", {})
    options = {"config_kwargs": {**ours, **given.get("config_kwargs", {})}, "max_concurrency": 1}
    return (
        options
        if {"anon", "key", "profile"} & given.keys() or _has_credentials()
        else options | {"anon": True}
    )


def _has_credentials() -> bool:
    """Whether there are credentials in the usual places: the environment, ``~/.aws``, the machine's role."""
    from botocore.session import get_session

    return get_session().get_credentials() is not None


def _status(fault: BaseException | None) -> int | None:
    """The code of HTTP that a server has sent, if it was that."""
    if fault is None or _kinds(fault) & _OF_CONNECTIONS:
        return None
    response = getattr(fault, "response", None)
    if isinstance(response, dict):  # botocore's
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    for name in ("status", "status_code", "code"):  # of aiohttp, of azure, of gcsfs
        if isinstance(code := getattr(fault, name, None), int):
            return code
    return _status(fault.__cause__)


def _kinds(fault: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(fault).__mro__}


def _may_pass(fault: Exception, status: int | None) -> bool:
    """Whether another attempt may succeed."""
    if status is not None:
        return status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kinds = _kinds(fault)
    if isinstance(fault, ImageError | PermissionError) or kinds & _LASTING:
        return False
    return isinstance(fault, OSError | TimeoutError) or bool(kinds & _OF_CONNECTIONS)


def _said(fault: Exception) -> str:
    """What went wrong, without URLs."""
    if isinstance(fault, TimeoutError):
        return "the server does not respond in time"
    message = getattr(fault, "message", None)
    return message if isinstance(message, str) and message else reason(fault)
