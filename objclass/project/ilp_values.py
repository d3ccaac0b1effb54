"""Values of an untrusted ``.ilp`` file: sizes are checked first, damage is reported in one line."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from objclass.errors import ImageError, ProjectError, UsageError
from objclass.images.trust import check_readable
from objclass.project.heaps import check_heaps, check_texts

MAXIMUM_BYTES = 1 << 28
"""Maximum bytes of forests and labels: more are a sign of damage."""

MAXIMUM_SETTING_BYTES = 1 << 20
"""Maximum bytes of any other value: texts, numbers, the pickle of the table's settings."""

WORKFLOW_CLASSES = {
    "ObjectClassificationWorkflowBinary": "Object Classification (from binary image)",
    "ObjectClassificationWorkflowPrediction": "Object Classification (from prediction image)",
    "ObjectClassificationWorkflowLabels": "Object Classification (from label image)",
    "ObjectClassificationWorkflowPixel": "Object Classification (from pixel classification)",
    "PixelClassificationWorkflow": "Pixel Classification",
    "AutocontextTwoStage": "Autocontext (2-stage)",
    "Pixel Classification + Object Classification (deprecated)": "Object Classification (from pixel classification)",
    "Pixel Classification + Object Classification": "Object Classification (from pixel classification)",
}

THRESHOLD_METHODS = {0: "simple", 1: "hysteresis", 2: "graph cut", 3: "ipht"}
"""``CurOperator`` -> method of thresholding."""

DAMAGE = (
    KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError, OverflowError, MemoryError
)  # fmt: skip
"""Errors of h5py, numpy and this module for damaged files."""


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """Open a file; errors of h5py for a damaged one become a `ProjectError` of one line."""
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "no such file"
        message = f"project {path}: {what}: expected an ilastik project (.ilp)"
        raise ProjectError(message)
    try:
        check_readable(path)
        check_heaps(path)
        with h5py.File(path, "r") as file:
            _refuse_links(file)
            yield file
    except ImageError as fault:
        raise ProjectError(str(fault)) from None
    except ProjectError as fault:
        message = " ".join(str(fault).splitlines())
        raise ProjectError(message if path in message else f"{path}: {message}") from None
    except UsageError as fault:
        message = f"{path}: stored settings: {fault}"
        raise ProjectError(message) from None
    except OSError as fault:
        message = f"{path} cannot be read as HDF5 (truncated, or not a project?): {one_line(fault)}"
        raise ProjectError(message) from None
    except DAMAGE as fault:
        message = f"{path} is damaged: {reason(fault)}"
        raise ProjectError(message) from None


def _refuse_links(file: h5py.File) -> None:
    """Refuse a project with links to other files, whose content could be shown as names and numbers."""
    links: list[bytes] = []

    def look(name: bytes, info: Any) -> None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            links.append(name)

    file.id.links.visit(look, info=True)
    if links:
        message = f"has a link to another file, {links[0].decode(errors='replace')}: a project is one file"
        raise ProjectError(message)


def one_line(fault: BaseException) -> str:
    """The message of an exception, on one line."""
    return " ".join(str(fault).split())


def reason(fault: BaseException) -> str:
    """The message of a library's error; Python's own messages about our code would not help the user."""
    if isinstance(fault, OSError | KeyError | RuntimeError | MemoryError) and (message := one_line(fault)):
        return message
    return "a part of it has an unexpected form (--debug shows which)"


def stored_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A member group, which must exist."""
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        version = parent.file.get("ilastikVersion")
        wrote = (
            f" (it was written by ilastik {stored_text(version)})"
            if isinstance(version, h5py.Dataset)
            else ""
        )
        message = f"has no {parent.name.rstrip('/')}/{name}{wrote}: open it in a present ilastik and save it"
        raise ProjectError(message)
    return found


def stored_value(dataset: Any, maximum: int = MAXIMUM_SETTING_BYTES) -> Any:
    """Content of a dataset; its size is checked first."""
    if not isinstance(dataset, h5py.Dataset):
        message = f"{dataset.name if dataset is not None else 'a value'}: expected a dataset"
        raise ProjectError(message)
    if dataset.shape is None:
        message = f"{dataset.name} holds no value"
        raise ProjectError(message)
    if dataset.is_virtual or dataset.external:
        message = f"{dataset.name} is in another file: a project is one file"
        raise ProjectError(message)
    if (size := stored_bytes(dataset)) > maximum:
        message = f"{dataset.name} claims {size} bytes"
        raise ProjectError(message)
    check_texts(dataset, maximum)
    return dataset[()]


def stored_flag(dataset: h5py.Dataset, name: str) -> bool:
    """Whether an attribute is true; texts, which are stored in heaps, are not read."""
    if name not in dataset.attrs or dataset.attrs.get_id(name).dtype.kind not in "biu":
        return False
    return bool(np.any(dataset.attrs[name]))


def stored_bytes(dataset: h5py.Dataset) -> int:
    """The number of bytes of a dataset, without the overflow of ``nbytes`` at 2⁶⁴."""
    return math.prod(dataset.shape or ()) * int(dataset.dtype.itemsize)


def check_size(datasets: Iterable[Any]) -> None:
    """Refuse datasets that would fill the memory: a small compressed file can claim a lot."""
    total = sum(stored_bytes(dataset) for dataset in datasets if isinstance(dataset, h5py.Dataset))
    if total > MAXIMUM_BYTES:
        message = f"its forest or labels claim {total} bytes"
        raise ProjectError(message)


def stored_text(dataset: Any, default: str | None = None) -> str:
    """Text of a dataset, stored as fixed or variable length bytes, or as numbers long ago."""
    if dataset is None and default is not None:
        return default
    value = stored_value(dataset)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def stored_number(dataset: Any) -> float:
    """A number, stored as a scalar or as an array of length 1."""
    return float(np.asarray(stored_value(dataset)).ravel()[0])


def child(group: Any, name: str) -> Any:
    """A member of a group; vigra's names once held blanks."""
    if not isinstance(group, h5py.Group):
        return None
    return group.get(name) or next((group[n] for n in group if "<" in n and n.replace(" ", "") == name), None)
