"""What this process may use of the machine: cores and memory, where a container or a scheduler sets limits."""

import os
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that the process may use: by affinity, cgroup quota and ``SLURM_CPUS_PER_TASK``."""
    allowed = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    quota = _quota()
    if quota is not None:
        allowed.append(int(quota))
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdecimal():
        allowed.append(int(slurm))
    return max(min(allowed), 1)


def free_memory() -> int | None:
    """Bytes that can be had: what the machine has left, or the cgroup; None if it cannot be told."""
    found = [_meminfo(), *(_left(folder) for folder in _folders("memory"))]
    known = [size for size in found if size is not None]
    return min(known) if known else None


def peak_memory() -> int | None:
    """Bytes of the largest resident set so far; None if it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _meminfo() -> int | None:
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _quota() -> float | None:
    """Cores' worth of time, by the tightest of the cgroups that this process is in."""
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
        most = _text(folder / limit).strip()
        if most.isdecimal():
            now = _text(folder / used).strip()
            cache = sum(
                int(line.split()[1])
                for line in _text(folder / "memory.stat").splitlines()
                if line.startswith(("inactive_file ", "total_inactive_file "))
            )
            return max(int(most) - int(now or 0) + cache, 0)
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
