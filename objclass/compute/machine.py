"""Cores and memory that this process may use, with the limits of a container or a scheduler.

psutil describes the machine, on every system; cgroups and Slurm, which it does not know, are read here.
"""

import ctypes
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that the process may use: by affinity, cgroup quota and ``SLURM_CPUS_PER_TASK``."""
    allowed = [_affinity()]
    quota = _quota()
    if quota is not None:
        allowed.append(int(quota))
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdecimal():
        allowed.append(int(slurm))
    return max(min(allowed), 1)


def free_memory() -> int:
    """Free memory in bytes: of the machine, the cgroup, or the limit of address space (``ulimit -v``)."""
    import psutil

    left = [_left(folder) for folder in _folders("memory")]
    known = [size for size in (*left, _addresses_left()) if size is not None]
    return int(min([psutil.virtual_memory().available, *known]))


def peak_memory() -> int:
    """Maximum resident set size so far, in bytes."""
    import psutil

    now = psutil.Process().memory_info()
    if hasattr(now, "peak_wset"):  # Windows
        return int(now.peak_wset)
    # on Linux, ru_maxrss begins with that of the process that started this one
    found = re.search(r"^VmHWM:\s+(\d+) kB", _text(Path("/proc/self/status")), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if psutil.MACOS else peak * 1024


def disk_type(folder: str) -> str:
    """Type of the file system of a folder, such as ``ext4`` or ``tmpfs``; empty if unknown."""
    import psutil

    path = Path(folder).resolve()
    # of several mounts at the same place the last one counts
    types = {Path(disk.mountpoint): disk.fstype for disk in psutil.disk_partitions(all=True)}
    return next((types[place] for place in (path, *path.parents) if place in types), "")


def _affinity() -> int:
    import psutil

    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # macOS has none
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def _addresses_left() -> int | None:
    """Bytes of address space that are left; None without a limit, or on a system that has none."""
    import psutil

    process = psutil.Process()
    if not hasattr(process, "rlimit"):
        return None
    limit, _ = process.rlimit(psutil.RLIMIT_AS)
    return None if limit == psutil.RLIM_INFINITY else max(limit - process.memory_info().vms, 0)


def _quota() -> float | None:
    """Number of cores by the strictest quota of the cgroups of this process."""
    quotas = []
    for folder in _folders("cpu"):
        limit, _, period = _text(folder / "cpu.max").partition(" ")  # version 2: in one file
        limit = limit or _text(folder / "cpu.cfs_quota_us")
        period = period or _text(folder / "cpu.cfs_period_us")
        if limit.strip().isdecimal() and period.strip().isdecimal() and int(period):
            quotas.append(int(limit) / int(period))
    return min(quotas, default=None)


def _left(folder: Path) -> int | None:
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        maximum = _text(folder / limit).strip()
        if maximum.isdecimal():
            now = _text(folder / used).strip()
            cache = sum(
                int(line.split()[1])
                for line in _text(folder / "memory.stat").splitlines()
                if line.startswith(("inactive_file ", "total_inactive_file "))
            )
            return max(int(maximum) - int(now or 0) + cache, 0)
    return None


def _folders(kind: str) -> list[Path]:
    """Folders of the cgroups of this process, from its own to the outermost."""
    found = []
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds == "" or kind in kinds.split(","):
            top = CGROUPS / kind if kinds else CGROUPS
            own = top / path.strip("/")
            found += [folder for folder in (own, *own.parents) if folder.is_relative_to(top)]
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


LITTLE = 2_000_000_000
"""Bytes: with less memory to use, what large arrays leave goes back to the system at once."""

LARGE_ARRAY, KEPT_ARRAY = 1 << 22, 31 << 20
"""Bytes from which on an array is large; and up to which glibc keeps what arrays leave, at most."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's numbers of its settings."""


def has_process(number: int) -> bool:
    """Whether there is a process of this number on this machine."""
    import psutil

    return psutil.pid_exists(number)


def tune_allocator(memory: int | None) -> None:
    """Tell glibc's allocator what to do with the memory that arrays leave.

    To keep it saves the system the time to clear it again. But each thread keeps its own, which a run that may use
    little memory cannot afford. What the environment says of it, as that of Dask's workers does, is for other programs.
    """
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        if memory is None or memory >= LITTLE:
            mallopt(M_MMAP_THRESHOLD, KEPT_ARRAY)
            mallopt(M_TRIM_THRESHOLD, 2 * KEPT_ARRAY)
        else:
            mallopt(M_MMAP_THRESHOLD, LARGE_ARRAY)
