"""Open images: from a path as on the command line, or from an array."""

import logging
import os
from functools import partial
from typing import Any

from objclass.compute.context import Context
from objclass.core import Image
from objclass.errors import ImageError, listed
from objclass.images.arrays import array_source
from objclass.images.paths import Part, counted_order, dataset_name, expand, kind, public
from objclass.images.source import Source, checked, reason
from objclass.images.stack import open_stack
from objclass.images.trust import check_readable
from objclass.images.urls import is_url
from objclass.registry import image_format, image_formats, resolve

__all__ = ["dataset_name", "from_array", "open_image"]

log = logging.getLogger("objclass")


def open_image(
    spec: str,
    *,
    axes: str | None = None,
    axes_from: str = "--input_axes",
    stack_along: str = "z",
    context: Context | None = None,
) -> Image:
    """Open an image lazily: headers are read now, pixels on demand.

    Parameters
    ----------
    spec
        A file, ``file.h5/array``, globs of these, the URL of an array of Zarr or N5 (``s3://…``, ``https://…``), or several
        joined by `os.pathsep`. Several matching arrays are a stack.
    axes
        Axes of the image; overrides the file.
    axes_from
        The origin of ``axes``, for messages.
    stack_along
        Axis along which a stack is joined: a new first one, unless its parts have that axis.
    context
        Context of the run: threads, and memory for caches. None: a context without limits and with one
        thread.

    Returns
    -------
    Image
        Lazy; no file is open between reads.

    Raises
    ------
    ImageError
        If there is no such file, it cannot be read, or its shape, dtype or axes do not fit.
    """
    context = context or Context()
    parts = expand(spec)
    files = tuple(dict.fromkeys(part.public for part in parts))
    name = public(spec)
    if len(parts) == 1:
        source = open_source(parts[0], context)
        name = f"{name.rstrip('/')}/{source.picked}" if source.picked else name
        return _image(name, source, axes, axes_from, files)
    _refuse_mixture(name, parts)
    _warn_of_order(name, parts)
    source = open_stack(parts, stack_along, partial(open_source, context=context))
    return _image(name, source, axes, axes_from, files)


def from_array(array: Any, axes: str | None = None, name: str = "array", *, channels: bool = True) -> Image:
    """An image from an array: of numpy, or any object with shape, dtype and slicing.

    It is read by region, on demand.

    Parameters
    ----------
    array
        An array, or nested lists, of 2 to 5 dimensions.
    axes
        Axes of the array; by default those that the array itself has (`objclass.images.arrays`), else yx,
        yxc (last axis up to 4) or zyx, zyxc, tzyxc.
    name
        Name of the array, for messages.
    channels
        Whether it may have channels; without them, 3 axes are always zyx, and 4 are tzyx.

    Raises
    ------
    ImageError
        If shape, dtype or axes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from_array(np.zeros((20, 30, 3))).shape
    (1, 1, 20, 30, 3)
    """
    source = checked(array_source(array, axes, name, channels=channels))
    return _image(name, source, None, "", ())


def open_source(part: Part, context: Context) -> Source:
    """Open one array of one file.

    Raises
    ------
    ImageError
        If there is no such file or array, or no reader for it.
    """
    if not is_url(part.file):
        if not os.path.exists(part.file):
            message = f"no such file: {part.file}"
            raise ImageError(message)
        check_readable(part.file)
    suffix = kind(part.file)
    found = image_format(suffix) if suffix else None
    if os.path.isdir(part.file) and not (found and found.folder):
        message = f"{part.file}: is a directory, expected a file: name its files, such as '*.png'"
        raise ImageError(message)
    if found is None or found.reader is None:
        known = " ".join(
            sorted(s for entry in image_formats(plugins=True) if entry.reader for s in entry.suffixes)
        )
        message = f"{part.file}: cannot read files with suffix '{suffix}', expected one of {known}"
        raise ImageError(message)
    return checked(_open(resolve(found.reader), part, context))


def _open(reader: Any, part: Part, context: Context) -> Source:
    try:
        source: Source = reader(part.file, part.internal, context)
    except (ImageError, MemoryError):
        raise
    except PermissionError as error:
        message = f"{part}: permission denied: it is not readable for this user"
        raise ImageError(message) from error
    except Exception as error:  # a damaged header can cause any exception of its parser
        message = f"{part}: cannot be opened, the file may be damaged: {reason(error)}"
        raise ImageError(message) from error
    return source


def _image(name: str, source: Source, axes: str | None, axes_from: str, files: tuple[str, ...]) -> Image:
    own = axes is None
    letters = source.axes if axes is None else axes.lower()
    # the pixel size belongs to the axes of the file, which are replaced
    size = source.pixel_size if letters == source.axes else None
    origin = source.axes_from if own else axes_from
    return Image(name, source.stored, letters, origin, source.drange, size, files, source.version)


def _refuse_mixture(spec: str, parts: list[Part]) -> None:
    suffixes = sorted({kind(part.file) for part in parts})
    if len(suffixes) > 1:
        message = f"{spec}: matches files of several kinds, expected one: {listed(suffixes)}"
        raise ImageError(message)


def _warn_of_order(spec: str, parts: list[Part]) -> None:
    """Warn if the order of names as text, as in ilastik, differs from the order of the numbers in them."""
    differing = ((a, b) for a, b in zip(parts, counted_order(parts), strict=True) if a != b)
    first = next(differing, None)
    if first is not None:
        log.warning(
            "%s: stacked in the order of their names as text, as in ilastik: %s comes before %s "
            "(numbers of one width, such as img02 and img10, keep their order)",
            spec, *(os.path.basename(str(part)) for part in first),
        )  # fmt: skip
