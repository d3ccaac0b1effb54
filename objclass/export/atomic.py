"""Files and folders that get their final names when they are complete."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from objclass.errors import OutputError
from objclass.images import sequence
from objclass.images.paths import name_fault
from objclass.registry import ImageFormat


def check_writable(path: str, kind: ImageFormat | None = None) -> None:
    """Refuse a path that cannot be written.

    Parameters
    ----------
    kind
        What is to be there; None for a file, whatever it holds.

    Raises
    ------
    OutputError
        If no file can have that name on this system, it is a folder that cannot be replaced, or its folder is a
        file or not writable.
    """
    if wrong := name_fault(path):
        message = f"output {path}: {wrong}: give another name"
        raise OutputError(message)
    target = Path(path)
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # the folder is looked at below
    except OSError as fault:
        message = f"output {path}: {fault.strerror}"
        raise OutputError(message) from None
    if kind is not None and kind.folder:
        _check_folder(target, shared=kind.shared)
    elif target.is_dir():
        message = f"output {path} is a folder"
        raise OutputError(message)
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        message = f"output {path}: {folder} is not a folder"
        raise OutputError(message)
    if not os.access(folder, os.W_OK):
        message = f"output {path}: the folder {folder} is not writable"
        raise OutputError(message)


def _check_folder(target: Path, *, shared: bool) -> None:
    """Refuse what an output that is a folder would destroy: as ilastik, any OME-Zarr."""
    if target.is_dir() and not shared:
        message = f"output {target} exists already: remove it, or give another name"
        raise OutputError(message)
    if target.exists() and not target.is_dir():
        message = f"output {target} is a file, expected a folder or none: remove it, or give another name"
        raise OutputError(message)


def beside(path: str) -> str:
    """The temporary name of an output: in the same folder, so that it can be renamed."""
    target = Path(path)
    # a digest, since the name itself may be as long as names can be
    digest = hashlib.sha256(target.name.encode()).hexdigest()[:12]
    return str(target.with_name(f".objclass-{digest}-{os.getpid()}.part{target.suffix}"))


class Pending:
    """Files and folders that are written beside their final names: renamed by `commit`, else removed."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: list[str] = []

    def add(self, path: str) -> str:
        """The temporary name for a file or a folder; the folder that it lies in is made."""
        if path not in self._files:
            self._files[path] = self._cleared(path)
        return self._files[path]

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence, which lie in it by number."""
        folder = self._cleared(paths[0])
        self._folders.append(folder)
        for parent in {Path(path).parent for path in paths}:
            self._make(parent)
        self._files |= {path: sequence.slice_path(folder, number) for number, path in enumerate(paths)}
        return folder

    def _cleared(self, path: str) -> str:
        temporary = beside(path)
        self._make(Path(path).parent)
        _remove(temporary)  # of a killed process of the same number
        return temporary

    @staticmethod
    def _make(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            message = f"output folder {folder} cannot be made: {fault.strerror}"
            raise OutputError(message) from None

    def commit(self) -> None:
        """Give all files and folders their final names."""
        for path, temporary in self._files.items():
            _rename(temporary, path)
        self._files.clear()
        self.discard()

    def discard(self) -> None:
        """Remove what was not committed."""
        for temporary in (*self._files.values(), *self._folders):
            with contextlib.suppress(OSError):
                _remove(temporary)
        self._files.clear()
        self._folders.clear()


def _remove(path: str) -> None:
    """Remove a file or a folder, if there is one."""
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _rename(temporary: str, path: str) -> None:
    """Give a file or a folder its name, in place of what has it."""
    if not Path(path).is_dir():
        Path(temporary).replace(path)
        return
    # a folder cannot take the name of another one: it steps aside first, and back if that fails
    aside = f"{beside(path)}.old"
    _remove(aside)
    Path(path).rename(aside)
    try:
        Path(temporary).rename(path)
    except OSError:
        Path(aside).rename(path)
        raise
    _remove(aside)
