"""Zarr, versions 2 and 3: plain arrays, and OME-Zarr images, as folders or zipped.

https://ngff.openmicroscopy.org/0.5/ says what a multiscale image, its axes and its scales are; version
0.5 keeps this under the key ``ome``, the older ones beside it. Of several scales the first, the finest,
is read unless another is named.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any
from zipfile import ZipFile

import numpy as np

from objclass.compute.context import Context
from objclass.core import AXES, AnyArray, PixelSize, Stored
from objclass.errors import ImageError, listed
from objclass.images.chunked.cache import CachedChunks
from objclass.images.paths import MARKS, is_zarr, pick
from objclass.images.remote import Remote
from objclass.images.source import Source, axes_by_shape, is_image_shape, known_pixel_size, reason
from objclass.images.trust import check_chunk, check_inside, check_kind, check_members, maximum_packed
from objclass.images.urls import is_url, parse_url

log = logging.getLogger("objclass")

_KINDS = {"time": "t", "channel": "c"}
"""Types of axes whose name may be anything."""

_OLDEST_AXES = "tczyx"
"""Of versions 0.1 and 0.2, which do not name them."""


@dataclass(frozen=True)
class ZarrStore:
    """An array in a store; no file is open between reads."""

    path: str
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    follow_links: bool = False

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the chunks that it touches are read."""
        from objclass.images.formats.zarr_codecs import limited

        with _opened(self.path, follow_links=self.follow_links) as store:
            return np.asarray(limited(_node(store, self.path, self.internal))[region])


@dataclass(frozen=True)
class RemoteArray:
    """An array in a store on a server; no connection is part of it.

    Parameters
    ----------
    store
        The `objclass.images.formats.zarr_remote.RemoteStore` that has read what describes the array.
    """

    store: Any
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the chunks that it touches are fetched."""
        from objclass.images.formats.zarr_codecs import limited

        before = self.store.absences
        pixels = np.asarray(limited(_node(self.store, str(self.store), self.internal))[region])
        if self.store.absences > before:
            self.store.remote.check_unchanged(*self.store.described_by(self.internal))
        return pixels


@dataclass(frozen=True)
class _Scale:
    """What OME-Zarr says of an array: the image that it is a scale of, and which."""

    image: Mapping[str, Any]
    dataset: Mapping[str, Any]

    @property
    def axes(self) -> str:
        """Letters of the axes, as far as they have one."""
        axes = self.image.get("axes", _OLDEST_AXES)
        named = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in axes]
        return "".join(_KINDS.get(axis.get("type", ""), str(axis["name"]).lower()) for axis in named)

    def pixel_size(self) -> PixelSize | None:
        """The product of the scale of the dataset and that of all datasets."""
        axes = self.axes
        scale = _scale_of(self.dataset) * _scale_of(self.image)
        units = {
            axis["name"].lower(): str(axis.get("unit", ""))
            for axis in self.image.get("axes", ())
            if isinstance(axis, Mapping)
        }
        sizes = dict(zip(axes, np.broadcast_to(scale, len(axes)).tolist(), strict=True))
        known = known_pixel_size(sizes, units, axes)
        return known if known is not None and known.unit else None


def open_zarr(path: str, internal: str, context: Context) -> Source:
    """Open an array, or the image that a group holds: its finest scale, or its only array.

    Raises
    ------
    ImageError
        If it is no store, or there is no such array, or several and none was named, or its files lead
        elsewhere.
    """
    if is_url(path):
        return _open_remote(path, internal, context)
    root, inside = _root(path, internal)
    with _opened(root, follow_links=context.follow_links) as store:
        make = partial(ZarrStore, root, follow_links=context.follow_links)
        return _source(store, root, inside, make, context)


def _source(
    store: Any,
    root: str,
    inside: str,
    make: Callable[..., Stored],
    context: Context,
    *,
    is_far: bool = False,
) -> Source:
    """An array of a store, from what describes it; ``make`` makes it of its name, shape and dtype."""
    found = _find(store, root, inside)
    array = _node(store, root, found)
    shape, dtype, chunks = tuple(array.shape), np.dtype(array.dtype), tuple(array.chunks)
    scale = _scale(store, found)
    axes, axes_from = _axes(array, scale)
    name = f"{root}/{found}" if found else root
    check_chunk(name, array.shards or chunks, dtype)
    stored = CachedChunks(make(found, shape, dtype), chunks, context, is_far=is_far)
    picked = found.removeprefix(inside).strip("/")
    return Source(name, stored, axes, axes_from, None, _pixel_size(scale), picked)


def _open_remote(url: str, internal: str, context: Context) -> Source:
    store, inside = _remote_store(url, internal, context)
    root = str(store)
    source = _source(store, root, inside, partial(RemoteArray, store), context, is_far=True)
    found = source.name.removeprefix(root).strip("/")
    array = _node(store, root, found)
    store.maximum = maximum_packed(array.shards or array.chunks, source.stored.dtype)
    hidden = next((key for key in store.refused if key.endswith(".zattrs")), None)
    if hidden is not None and source.axes_from == "shape":
        log.warning(
            "%s/%s: the server refuses it (403): it is taken for absent, and axes by shape", root, hidden
        )
    return replace(source, version=_version(store, found))


def _version(store: Any, internal: str) -> dict[str, str]:
    """What tells one version of an array on a server from another."""
    key, _ = store.described_by(internal)
    every = "".join(f"{name} {content!r} " for name, content in sorted(store.documents.items()))
    return store.remote.version(key, every.encode())


def arrays_in(path: str) -> list[str]:
    """Names of the arrays of 2 to 5 dimensions, sorted.

    Raises
    ------
    ImageError
        If it is no store.
    """
    with _opened(path) as store:
        return _arrays(_node(store, path, ""))


def plate_fields(path: str) -> list[tuple[str, str]]:
    """Path of the well, and of the field in it, for each field of a plate, in its order; none if it is no plate.

    Raises
    ------
    ImageError
        If the plate or a well of it cannot be read.
    """
    if not is_url(path) and not is_zarr(path):
        return []
    with _opened(path) as store:
        top = _group(store, "")
        plate = _ome(top).get("plate") if top is not None else None
        if plate is None:
            return []
        try:
            wells = [str(well["path"]) for well in plate["wells"]]
            found = [
                (well, str(field["path"])) for well in wells for field in _well(store, path, well)["images"]
            ]
        except ImageError:
            raise
        except (KeyError, TypeError, ValueError) as fault:
            message = f"{path}: its list of wells and fields cannot be used: {reason(fault)}"
            raise ImageError(message) from fault
    outside = next((place for place in found if ".." in "/".join(place).split("/")), None)
    if not found or outside is not None:
        message = f"{path}: {'has no fields' if outside is None else f'its field {outside} is outside of it'}"
        raise ImageError(message)
    return found


def _well(store: Any, path: str, name: str) -> dict[str, Any]:
    return dict(_ome(_node(store, path, name))["well"])


def _root(path: str, internal: str) -> tuple[str, str]:
    """The outermost group: what is above an array says what it is."""
    path, above = path.rstrip("/" + os.sep), os.path.dirname(path.rstrip("/" + os.sep))
    if not above or not os.path.isdir(path) or not is_zarr(above):
        return path, internal
    return _root(above, "/".join(part for part in (os.path.basename(path), internal) if part))


def _remote_store(url: str, internal: str, context: Context) -> tuple[Any, str]:
    """The store of a URL, and the name in it: the folder named as a store, else the outermost group."""
    from objclass.images.formats.zarr_remote import RemoteStore

    place, inside = parse_url(url)
    inside = _joined(inside, internal)
    while not place.is_named and place.above is not None:
        if not any(map(Remote(place.above, context.stop).has, MARKS)):
            break
        place, inside = place.above, _joined(place.name, inside)
    return RemoteStore(Remote(place, context.stop)), inside


@cache
def _folder() -> Any:
    """zarr's store of files, but for links out of it, pipes, and files without content.

    It takes empty shards for absent ones.
    """
    from zarr.storage import LocalStore

    class Folder(LocalStore):
        follow_links = False

        async def get(self, key: str, *args: Any, **options: Any) -> Any:
            _check_key(str(self.root), key, follow_links=self.follow_links)
            content = await super().get(key, *args, **options)
            if content is not None and len(content) == 0:
                message = f"{key} is empty"
                raise ValueError(message)
            return content

    return Folder


def _check_key(root: str, key: str, *, follow_links: bool) -> None:
    """Refuse what is no file, or leads out of the store, or is a group that is a link to another group.

    A store that holds itself would never end.
    """
    file = os.path.join(root, key)
    if not os.path.exists(file):
        return
    check_kind(file)
    check_inside(file, root, follow_links=follow_links)
    is_group = os.path.basename(key) in MARKS
    if is_group and os.path.realpath(file) != os.path.join(os.path.realpath(root), *key.split("/")):
        message = f"{os.path.dirname(file)}: is a link within its store: name {os.path.realpath(file)}"
        raise ImageError(message)


@contextmanager
def _opened(path: str, *, follow_links: bool = False) -> Iterator[Any]:
    from zarr.storage import ZipStore

    if is_url(path):
        yield _remote_store(path, "", Context())[0]
        return
    if os.path.isdir(path):
        store = _folder()(path, read_only=True)
        store.follow_links = follow_links
        yield store
        return
    with ZipFile(path) as archive:
        check_members(path, archive)
    with ZipStore(path, mode="r") as store:
        yield store


def _node(store: Any, path: str, internal: str) -> Any:
    import zarr

    try:
        return zarr.open(store, path=internal, mode="r")
    except FileNotFoundError as error:
        for fault in getattr(store, "refused", {}).values():  # it may be there all the same
            raise fault from None
        if not internal:
            message = f"{path}: is no Zarr store"
            raise ImageError(message) from error
        if is_url(path):
            message = f"{path}: there is no array '{internal}'"
            raise ImageError(message) from error
        message = f"{path}: there is no array '{internal}', expected one of {listed(arrays_in(path))}"
        raise ImageError(message) from error


def _group(store: Any, internal: str) -> Any:
    import zarr

    try:
        return zarr.open(store, path=internal, mode="r")
    except FileNotFoundError:
        return None


def _ome(node: Any) -> dict[str, Any]:
    attributes = dict(node.attrs)
    return dict(attributes.get("ome", attributes))


def _find(store: Any, path: str, internal: str) -> str:
    """Name of the array that a name stands for."""
    import zarr

    node = _node(store, path, internal)
    if isinstance(node, zarr.Array):
        return internal
    ome = _ome(node)
    if "multiscales" in ome:
        return _joined(internal, ome["multiscales"][0]["datasets"][0]["path"])
    if "plate" in ome or "well" in ome:
        message = f"{path}: is a {'plate' if 'plate' in ome else 'well'}: name a field, such as {path}/A/1/0"
        raise ImageError(message)
    if "bioformats2raw.layout" in ome:
        return _find(store, path, _joined(internal, pick(path, _series(node))))
    return _joined(internal, pick(path, _arrays(node)))


def _series(node: Any) -> list[str]:
    """Images of what bioformats2raw wrote: listed, or else numbered."""
    listed_there = _ome(node["OME"]).get("series") if "OME" in node else None
    return list(listed_there or sorted(name for name in node.group_keys() if name != "OME"))


def _arrays(node: Any) -> list[str]:
    import zarr

    if isinstance(node, zarr.Array):
        return [""] if is_image_shape(node.shape) else []
    members = node.members(max_depth=None)
    return sorted(n for n, item in members if isinstance(item, zarr.Array) and is_image_shape(item.shape))


def _joined(*names: str) -> str:
    return "/".join(name.strip("/") for name in names if name.strip("/"))


def _scale(store: Any, internal: str) -> _Scale | None:
    """The nearest group above the array that has it among its scales."""
    names = internal.split("/") if internal else []
    for depth in range(len(names) - 1, -1, -1):
        above, rest = "/".join(names[:depth]), "/".join(names[depth:])
        group = _group(store, above)
        if group is None:  # on a server, folders of any kind may lie in one that is named as a store
            return None
        for image in _ome(group).get("multiscales", ()):
            for dataset in image["datasets"]:
                if dataset["path"].strip("/") == rest:
                    return _Scale(image, dataset)
    return None


def _axes(array: Any, scale: _Scale | None) -> tuple[str, str]:
    if scale is not None:
        return scale.axes, "OME-Zarr"
    for names, origin in (
        (getattr(array.metadata, "dimension_names", None), "dimension_names"),
        (array.attrs.get("_ARRAY_DIMENSIONS"), "_ARRAY_DIMENSIONS"),  # what xarray writes
    ):
        letters = [str(name).lower() for name in names or ()]
        if letters and set(letters) <= set(AXES):
            return "".join(letters), origin
    return axes_by_shape(array.shape), "shape"


def _scale_of(described: Mapping[str, Any]) -> AnyArray:
    scale = np.ones(1)
    for transformation in described.get("coordinateTransformations", ()):
        if transformation.get("type") == "scale":
            scale = scale * np.asarray(transformation["scale"], np.float64)
    return scale


def _pixel_size(scale: _Scale | None) -> PixelSize | None:
    try:
        return scale.pixel_size() if scale is not None else None
    except (ValueError, TypeError, KeyError, AttributeError):  # it is not worth failing for
        return None
