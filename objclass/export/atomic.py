"""Files and folders that get their final names when they are complete."""

import errno
import logging
import os
import platform
import re
import shutil
import stat
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from threading import Lock
from time import time

from objclass.compute import lock
from objclass.compute.signals import uninterrupted
from objclass.errors import OutputError
from objclass.images import sequence
from objclass.images.paths import name_fault, same_file_key
from objclass.registry import ImageFormat

log = logging.getLogger("objclass")


def check_writable(path: str, kind: ImageFormat | None = None, *, resumed: bool = False) -> None:
    """Refuse a path that cannot be written.

    Parameters
    ----------
    kind
        The format to be written; None for any file.
    resumed
        Whether a folder may be there, of an earlier run.

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
        _check_folder(target, shared=kind.shared or resumed)
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
    try:  # places of the system have their own rules
        TemporaryFile(dir=folder).close()
    except OSError as fault:
        message = f"output {path}: no file can be made in {folder}: {fault.strerror}"
        raise OutputError(message) from None


def check_output(what: str, path: str, inputs: Iterable[str], *, overwrite: bool, remedy: str = "") -> None:
    """Refuse a file that is an input, exists already, or cannot be written.

    Parameters
    ----------
    what
        What it is, as the message says it: an option, and its value.
    path
        The file.
    inputs
        Files that are read.
    overwrite
        Whether an existing file may be replaced.
    remedy
        What helps where one exists, besides ``--overwrite``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    if _key(path) in set(map(_key, inputs)):
        message = f"{what} would overwrite an input: give another name"
        raise OutputError(message)
    if os.path.lexists(path) and not overwrite:
        message = f"{what} exists already: --overwrite replaces it{remedy}"
        raise OutputError(message)
    check_writable(path)


def check_distinct(*outputs: tuple[str, str | None]) -> None:
    """Refuse outputs of a command that are the same file.

    Parameters
    ----------
    outputs
        What each is, and its path; None if it is not written.

    Raises
    ------
    OutputError
        If two are the same.
    """
    taken: dict[str, str] = {}
    for what, path in outputs:
        if path is None:
            continue
        other = taken.setdefault(_key(path), what)
        if other != what:
            message = f"{path}: both {other} and {what} would be written there: give one of them another name"
            raise OutputError(message)


def _key(path: str) -> str:
    return same_file_key(os.path.realpath(path))


def _check_folder(target: Path, *, shared: bool) -> None:
    """Refuse what an output that is a folder would destroy: as ilastik, any OME-Zarr."""
    if target.is_dir() and not shared:
        message = f"output {target} exists already: remove it, or give another name"
        raise OutputError(message)
    if target.exists() and not target.is_dir():
        message = f"output {target} is a file, expected a folder or none: remove it, or give another name"
        raise OutputError(message)


class Pending:
    """Files and folders that are written under temporary names: renamed by `commit`, else removed.

    They are written to a `Workspace` in the folder of their final names. Older files of those names are
    replaced only when all of the new ones are on the disk, and are restored if one cannot be renamed.
    """

    def __init__(self) -> None:
        self._parts: dict[str, str] = {}
        self._workspaces: dict[Path, Workspace] = {}
        self._opening = Lock()  # lanes are begun in parallel
        self._locks = ExitStack()

    def add(self, path: str) -> str:
        """The temporary name for a file or a folder; its parent folder is made."""
        if path not in self._parts:
            self._parts[path] = self._workspace(Path(path).parent).name_for(path)
        return self._parts[path]

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence, which are named by number in it."""
        folder = self._workspace(Path(paths[0]).parent).name_for("slices")
        for parent in {Path(path).parent for path in paths}:
            _make(parent)
        self._parts |= {path: sequence.slice_path(folder, number) for number, path in enumerate(paths)}
        return folder

    def workspaces(self, paths: Iterable[str]) -> dict[str, str]:
        """The parent folders of paths, and the hidden folder in each where another process may write these files."""
        return {str(parent): self._workspace(parent).path for parent in {Path(path).parent for path in paths}}

    def folder_for(self, path: str) -> str:
        """A new folder in the workspace of a path."""
        made = self._workspace(Path(path).parent).name_for("folder")
        os.mkdir(made)
        return made

    def adopt(self, parts: Mapping[str, str]) -> None:
        """Take over files that another process has written in one of the `workspaces`: path -> temporary name."""
        for parent in {Path(path).parent for path in parts}:
            _make(parent)
        self._parts |= parts

    def lock(self, path: str) -> None:
        """Keep other processes from replacing a file until it is renamed here, or discarded."""
        self._locks.enter_context(lock.held(lock_file(path)))

    def unlock(self) -> None:
        """Release the locks."""
        self._locks.close()

    def commit(self) -> None:
        """Give all files and folders their final names, or none.

        Raises
        ------
        OutputError, OSError
            As `sync` and `rename` do.
        """
        self.sync()
        self.rename()
        self.discard()

    def sync(self, paths: Iterable[str] | None = None) -> None:
        """Wait until files and folders, or all of them, are on the disk.

        Raises
        ------
        OutputError, OSError
            If one could not be written, or was removed by another process.
        """
        for path in list(self._parts if paths is None else paths):
            sync(self._parts[path])
        for workspace in self._workspaces.values():
            workspace.check()

    def rename(self, paths: Iterable[str] | None = None, names: Mapping[str, str] | None = None) -> None:
        """Give files and folders, or all of them, their final names; nothing interrupts it.

        Parameters
        ----------
        paths
            Paths as given to `add`.
        names
            Final names that differ from those given to `add`.

        Raises
        ------
        OSError
            If one cannot be renamed; then none is renamed, and the older files are restored.
        """
        chosen = list(self._parts if paths is None else paths)
        with uninterrupted():
            self._rename([(self._parts[path], (names or {}).get(path, path)) for path in chosen])
            for path in chosen:
                del self._parts[path]

    def _rename(self, moves: Sequence[tuple[str, str]]) -> None:
        done: list[_Replacement] = []
        try:
            for temporary, final in moves:
                done.append(_Replacement(temporary, final))
                done[-1].make()
            for folder in {Path(final).parent for _, final in moves}:
                sync_folder(str(folder))
        except BaseException:
            for replacement in reversed(done):
                replacement.take_back()
            raise
        for replacement in done:
            replacement.seal()

    def discard(self, paths: Iterable[str] | None = None) -> None:
        """Remove what was not committed; without ``paths``, all of it, and the workspaces."""
        for path in list(self._parts if paths is None else paths):
            temporary = self._parts.pop(path, None)
            if temporary is not None:
                with suppress(OSError):
                    remove(temporary)
        if paths is None:
            self.unlock()
            for workspace in self._workspaces.values():
                workspace.close()
            self._workspaces.clear()

    def _workspace(self, folder: Path) -> "Workspace":
        with self._opening:
            if folder not in self._workspaces:
                _make(folder)
                with uninterrupted():  # else nobody would know of it
                    self._workspaces[folder] = Workspace(folder)
            return self._workspaces[folder]


Stamp = tuple[int, int, int] | None
"""Inode, size and time of change of a file or folder; None if there is none."""


def stamp(path: str) -> Stamp:
    """What shows that a file or folder was changed or replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def lock_file(path: str) -> str:
    """The lock file of an output: held by the process that is going to replace the output."""
    target = Path(path)
    # a digest, since the name itself may be as long as names can be
    return str(target.with_name(f".objclass-{sha256(os.fsencode(target.name)).hexdigest()[:12]}.lock"))


class Workspace:
    """A hidden folder for unfinished outputs, with a lock that is held as long as they are written.

    Its name is random, and contains host and process. Workspaces of processes that no longer exist are
    removed from the same place.
    """

    def __init__(self, folder: Path) -> None:
        clear_leftovers(folder)
        while True:
            self._path = Path(mkdtemp(_SUFFIX, f".objclass-{_host()}-{os.getpid()}-", folder))
            self._lock = str(self._path / _LOCK)
            self._descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if lock.lock_if_possible(self._descriptor) and lock.is_same(self._descriptor, self._lock):
                break
            lock.let_go(self._descriptor)  # taken for a leftover before it was locked
        self._numbers = count(1)

    @property
    def path(self) -> str:
        """The folder."""
        return str(self._path)

    def name_for(self, path: str) -> str:
        """An unused name in it, with the suffix of a path."""
        return str(self._path / f"{next(self._numbers)}{Path(path).suffix}")

    def check(self) -> None:
        """Check that it was not removed by another process.

        Raises
        ------
        OutputError
            If it was removed; the message names its parent folder.
        """
        if not lock.is_same(self._descriptor, self._lock):
            message = f"{self._path.parent}: the folder was removed while outputs were written there"
            raise OutputError(message)

    def close(self) -> None:
        """Remove it, and what is in it."""
        with suppress(OSError):
            remove(str(self._path))
        lock.let_go(self._descriptor)


_SUFFIX, _LOCK, _ASIDE, _NAMED = ".part", "lock", "aside-", ".name"

_NAME = re.compile(r"\.objclass-(?P<host>.+)-(?P<process>\d+)-[^-]+\.part")

FORGOTTEN = 24 * 3600
"""Seconds without a change after which an unlocked workspace of another host is a leftover."""

NEW = 60
"""Seconds for which a workspace may lack its lock file."""


def _host() -> str:
    return re.sub(r"[^\w.]", "_", platform.node()) or "localhost"


def clear_leftovers(folder: Path) -> None:
    """Remove workspaces of processes that no longer exist; folders that they had moved aside are restored."""
    removed = [
        f"{found['host']} {found['process']}" for found in map(_left_by_the_dead, _hidden(folder)) if found
    ]
    if removed:
        log.info(
            "%s: removed unfinished outputs of interrupted runs (host and process: %s)",
            folder,
            ", ".join(removed),
        )


def _hidden(folder: Path) -> list[Path]:
    """Workspaces in a folder."""
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return []


def _left_by_the_dead(workspace: Path) -> "re.Match[str] | None":
    """Remove a workspace that no process holds; return its host and process, None if it stays."""
    found = _NAME.fullmatch(workspace.name)
    try:
        age = time() - workspace.lstat().st_mtime
        # hosts may not see the locks of each other, so a free lock proves little
        if found is None or workspace.is_symlink() or (found["host"] != _host() and age < FORGOTTEN):
            return None
        if not (workspace / _LOCK).exists():
            return _clear(workspace, found) if age > NEW else None
        descriptor = os.open(workspace / _LOCK, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            return _clear(workspace, found) if lock.try_lock(descriptor) else None
        finally:
            lock.let_go(descriptor)
    except OSError:  # of another user, or another run was faster
        return None


def _clear(workspace: Path, found: "re.Match[str]") -> "re.Match[str]":
    for named in workspace.glob(f"{_ASIDE}*{_NAMED}"):
        aside = named.with_name(named.name.removesuffix(_NAMED))
        final = workspace.parent / Path(named.read_text(encoding="utf-8")).name
        if aside.is_dir() and not os.path.lexists(final):
            aside.rename(final)
            log.warning("%s: restored: an interrupted run had moved it aside", final)
    remove(str(workspace))
    return found


class _Replacement:
    """The replacement of an older output by a new one; until it is sealed it can be taken back."""

    def __init__(self, temporary: str, final: str) -> None:
        self._temporary, self._final = temporary, final
        self._aside = str(Path(temporary).with_name(_ASIDE + Path(temporary).name))
        self._is_made = self._is_aside = False

    def make(self) -> None:
        """Give the new output its final name."""
        if os.path.isdir(self._final):  # a folder cannot take the name of another one
            # the next run looks here if this one is killed before the new folder has the name
            Path(f"{self._aside}{_NAMED}").write_text(Path(self._final).name, encoding="utf-8")
            os.rename(self._final, self._aside)
            self._is_aside = True
        elif os.path.lexists(self._final):
            self._keep_file()
        os.replace(self._temporary, self._final)
        self._is_made = True

    def _keep_file(self) -> None:
        """Keep the older file under a second name, where the file system can; the new one gets its mode and group."""
        with suppress(OSError):
            before = os.stat(self._final)
            with suppress(OSError):  # a group that this user is not in
                os.chown(self._temporary, -1, before.st_gid)
            os.chmod(self._temporary, stat.S_IMODE(before.st_mode) & 0o777)
        with suppress(OSError, NotImplementedError):
            os.link(self._final, self._aside, follow_symlinks=False)
            self._is_aside = True

    def take_back(self) -> None:
        """Restore the older output, or that there was none."""
        if self._is_made:
            try:
                os.replace(self._final, self._temporary)
            except OSError:  # nothing can be renamed any more
                if not self._is_aside:
                    with suppress(OSError):
                        remove(self._final)
        if self._is_aside:
            with suppress(OSError):
                os.replace(self._aside, self._final)

    def seal(self) -> None:
        """Remove the older output."""
        if self._is_aside:
            with suppress(OSError):
                remove(self._aside)


SYNCING = 8
"""Files of a folder that are waited for at once."""


def sync(path: str) -> None:
    """Wait until a file, or everything in a folder, is on the disk.

    Raises
    ------
    OSError
        If it does not exist, or could not be written.
    """
    if os.path.isdir(path):
        with ThreadPoolExecutor(SYNCING) as pool:
            for folder, _, files in os.walk(path, onerror=_raise):
                paths = [os.path.join(folder, name) for name in files]
                # each waits for the disk, which does what several wait for in one go
                deque(pool.map(_sync_files, (paths[k::SYNCING] for k in range(SYNCING))), maxlen=0)
                sync_folder(folder)
    else:
        _sync_file(path)


def _raise(fault: OSError) -> None:
    raise fault


def _sync_files(paths: Iterable[str]) -> None:
    for path in paths:
        _sync_file(path)


def _sync_file(path: str) -> None:
    descriptor = os.open(path, os.O_RDWR)  # Windows needs it writable
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk, where the file system supports that."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        message = f"output folder {folder} cannot be made: {fault.strerror}"
        raise OutputError(message) from None


def remove(path: str) -> None:
    """Remove a file or a folder, if there is one."""
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
