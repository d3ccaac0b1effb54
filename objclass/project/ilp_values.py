"""Values of an ``.ilp`` file, read without trust: sizes are looked at first, damage is one line."""

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
"""Forests and labels that are larger than this are not part of a project (but of a damaged one)."""

MAXIMUM_SETTING_BYTES = 1 << 20
"""Same of any other value: texts, numbers, the pickle of the table's settings."""

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
"""``CurOperator`` -> how the threshold is applied."""

DAMAGE = (
    KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError, OverflowError, MemoryError
)  # fmt: skip
"""What a damaged file makes h5py, numpy and the reading here raise."""


@contextmanager
def opened(path: str) -> Iterator[h5py.File]:
    """The open file; whatever a damaged one makes h5py raise becomes one line."""
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
        told = " ".join(str(fault).splitlines())
        raise ProjectError(told if path in told else f"{path}: {told}") from None
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
    """Refuse a project with links to other files: what they hold would come back as names and numbers."""
    links: list[bytes] = []

    def look(name: bytes, info: Any) -> None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            links.append(name)

    file.id.links.visit(look, info=True)
    if links:
        message = f"has a link to another file, {links[0].decode(errors='replace')}: a project is one file"
        raise ProjectError(message)


def one_line(fault: BaseException) -> str:
    """What an exception says, on one line."""
    return " ".join(str(fault).split())


def reason(fault: BaseException) -> str:
    """What is wrong, where libraries say it; what Python says of our reading helps nobody."""
    if isinstance(fault, OSError | KeyError | RuntimeError | MemoryError) and (told := one_line(fault)):
        return told
    return "a part of it is not what it should be (--debug shows which)"


def stored_group(parent: h5py.Group, name: str) -> h5py.Group:
    """A group that must be there."""
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        version = parent.file.get("ilastikVersion")
        wrote = f" (ilastik {stored_text(version)} wrote it)" if isinstance(version, h5py.Dataset) else ""
        message = f"has no {parent.name.rstrip('/')}/{name}{wrote}: open it in a present ilastik and save it"
        raise ProjectError(message)
    return found


def stored_value(dataset: Any, most: int = MAXIMUM_SETTING_BYTES) -> Any:
    """Content of a dataset of sane size."""
    if not isinstance(dataset, h5py.Dataset):
        message = f"{dataset.name if dataset is not None else 'a value'}: expected a dataset"
        raise ProjectError(message)
    if dataset.shape is None:
        message = f"{dataset.name} holds no value"
        raise ProjectError(message)
    if dataset.is_virtual or dataset.external:
        message = f"{dataset.name} lies in another file: a project is one file"
        raise ProjectError(message)
    if (size := stored_bytes(dataset)) > most:
        message = f"{dataset.name} claims {size} bytes"
        raise ProjectError(message)
    check_texts(dataset, most)
    return dataset[()]


def stored_flag(dataset: h5py.Dataset, name: str) -> bool:
    """An attribute that is true; texts, which lie in heaps, are not read."""
    if name not in dataset.attrs or dataset.attrs.get_id(name).dtype.kind not in "biu":
        return False
    return bool(np.any(dataset.attrs[name]))


def stored_bytes(dataset: h5py.Dataset) -> int:
    """Like its ``nbytes``, which starts again from 0 after 2⁶⁴."""
    return math.prod(dataset.shape or ()) * int(dataset.dtype.itemsize)


def check_size(datasets: Iterable[Any]) -> None:
    """Refuse what would fill the memory: a small file can claim a lot, compressed."""
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
