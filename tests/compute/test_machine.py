"""What this process may use: as psutil says, and as files say that containers and schedulers leave."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from objclass.compute import machine

GIB = 1 << 30


class Process:
    """What psutil says of a process that may run on 16 cores, without a limit of addresses."""

    cores = range(16)
    addresses = psutil.RLIM_INFINITY if hasattr(psutil, "RLIM_INFINITY") else -1

    def cpu_affinity(self):
        return list(self.cores)

    def rlimit(self, _):
        return self.addresses, self.addresses

    def memory_info(self):
        return SimpleNamespace(vms=GIB)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A made-up machine of 16 cores and 8 GiB free; returns a function that says what a file holds."""
    texts = {}

    def text(path):
        return texts.get(str(path), "")

    def say(path, content):
        texts[path if path.startswith("/") else str(tmp_path / path)] = content

    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_text", text)
    monkeypatch.setattr(psutil, "Process", Process)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    monkeypatch.setattr(psutil, "RLIMIT_AS", 9, raising=False)
    monkeypatch.setattr(psutil, "RLIM_INFINITY", Process.addresses, raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    return say


def test_without_limits_it_is_the_machine(host):
    assert machine.cores() == 16
    assert machine.free_memory() == 8 * GIB


def test_affinity(host, monkeypatch):
    monkeypatch.setattr(Process, "cores", (3, 5, 6))
    assert machine.cores() == 3


def test_macos_has_neither_affinity_nor_limits(host, monkeypatch):
    monkeypatch.delattr(Process, "cpu_affinity")
    monkeypatch.delattr(Process, "rlimit")
    monkeypatch.setattr(psutil, "cpu_count", lambda: 12)
    assert machine.cores() == 12
    assert machine.free_memory() == 8 * GIB
    monkeypatch.setattr(psutil, "cpu_count", lambda: None)
    assert machine.cores() == 1


@pytest.mark.parametrize(("limit", "left"), [(3 * GIB, 2 * GIB), (GIB // 2, 0), (100 * GIB, 8 * GIB)])
def test_limit_of_addresses(host, monkeypatch, limit, left):
    monkeypatch.setattr(Process, "addresses", limit)
    monkeypatch.setattr(psutil, "RLIM_INFINITY", -1, raising=False)
    assert machine.free_memory() == left


def test_peak_on_windows(monkeypatch):
    monkeypatch.setattr(
        psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=7 * GIB))
    )
    assert machine.peak_memory() == 7 * GIB


def test_disk_type_is_that_of_the_last_mount_above(monkeypatch, tmp_path):
    def disks(all):  # noqa: A002  as psutil calls it
        mounts = {tmp_path.anchor: "ext4", str(tmp_path / "ram"): "xfs"}
        rows = [*mounts.items(), (str(tmp_path / "ram"), "tmpfs"), (str(tmp_path / "ra"), "zfs")]
        return [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in rows]

    monkeypatch.setattr(psutil, "disk_partitions", disks)
    assert machine.disk_type(str(tmp_path)) == "ext4"
    assert machine.disk_type(str(tmp_path / "ram" / "sub")) == "tmpfs"
    assert machine.disk_type(str(tmp_path / "ra")) == "zfs"


@pytest.mark.parametrize(
    ("said", "cores"), [("4", 4), ("64", 16), ("0", 1), ("", 16), ("4(x2)", 16), ("-3", 16)]
)
def test_slurm(host, monkeypatch, said, cores):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert machine.cores() == cores


@pytest.mark.parametrize(
    ("said", "cores"),
    [("200000 100000", 2), ("250000 100000\n", 2), ("50000 100000", 1), ("max 100000", 16), ("", 16)],
)
def test_quota_of_cgroup_2(host, said, cores):
    host("/proc/self/cgroup", "0::/user.slice/job\n")
    host("user.slice/job/cpu.max", said)
    assert machine.cores() == cores


def test_the_tightest_cgroup_above_counts(host):
    host("/proc/self/cgroup", "0::/user.slice/job\n")
    host("user.slice/job/cpu.max", "800000 100000")
    host("user.slice/cpu.max", "300000 100000")
    host("cpu.max", "max 100000")
    host("user.slice/memory.max", str(2 * GIB))
    host("user.slice/memory.current", str(GIB))
    host("user.slice/job/memory.max", "max")
    assert machine.cores() == 3
    assert machine.free_memory() == GIB


@pytest.mark.parametrize(
    ("quota", "period", "cores"), [("400000", "100000", 4), ("-1", "100000", 16), ("1000", "0", 16)]
)
def test_quota_of_cgroup_1(host, quota, period, cores):
    host("/proc/self/cgroup", "4:cpu,cpuacct:/job\n3:memory:/other\n")
    host("cpu/job/cpu.cfs_quota_us", quota)
    host("cpu/job/cpu.cfs_period_us", period)
    assert machine.cores() == cores


def test_memory_of_cgroup_2_counts_what_is_only_cached_as_free(host):
    host("/proc/self/cgroup", "0::/\n")
    host("memory.max", f"{4 * GIB}\n")
    host("memory.current", f"{3 * GIB}\n")
    host("memory.stat", f"anon 7\ninactive_file {GIB // 2}\nactive_file 99\n")
    assert machine.free_memory() == 4 * GIB - 3 * GIB + GIB // 2


def test_memory_of_cgroup_1(host):
    host("/proc/self/cgroup", "9:memory:/job\n")
    host("memory/job/memory.limit_in_bytes", str(2 * GIB))
    host("memory/job/memory.usage_in_bytes", str(GIB // 2))
    host("memory/job/memory.stat", f"total_inactive_file {GIB // 4}\n")
    assert machine.free_memory() == 2 * GIB - GIB // 2 + GIB // 4


def test_a_cgroup_that_is_full_has_nothing_left(host):
    host("/proc/self/cgroup", "0::/\n")
    host("memory.max", str(GIB))
    host("memory.current", str(2 * GIB))
    assert machine.free_memory() == 0


def test_the_machine_may_have_less_than_the_cgroup(host):
    host("/proc/self/cgroup", "0::/\n")
    host("memory.max", str(100 * GIB))
    host("memory.current", "0")
    assert machine.free_memory() == 8 * GIB


def test_files_that_are_not_there(tmp_path):
    assert machine._text(tmp_path / "none") == ""
    assert machine._text(Path(tmp_path)) == ""


def test_the_real_one():
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert machine.free_memory() > 0
    assert machine.peak_memory() >= 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="what a process inherits on Linux")
def test_the_peak_is_not_that_of_the_process_that_started_this_one():
    child = "from objclass.compute.machine import peak_memory; print(peak_memory())"
    parent = f"import numpy, subprocess, sys; a = numpy.ones(1 << 26); subprocess.run([sys.executable, '-c', '{child}'])"
    done = subprocess.run([sys.executable, "-c", parent], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 200_000_000  # the parent has 512 MiB


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is obeyed on Linux")
def test_a_real_limit_of_addresses():
    code = "from objclass.compute.machine import free_memory; print(free_memory())"
    limited = f"ulimit -v {4 * GIB // 1024}; exec {sys.executable} -c '{code}'"
    left = int(subprocess.run(["/bin/sh", "-c", limited], capture_output=True, check=True).stdout)
    assert 0 < left < 4 * GIB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_memory_that_arrays_leave_is_kept():
    """Whatever the environment says: Dask starts its workers with a threshold of 64 KiB."""
    code = (
        "import resource, numpy as np\n"
        "from objclass.compute.machine import tune_allocator\n"
        "tune_allocator(None)\n"
        "before = 0\n"
        "for n in range(12):\n"
        "    np.ones(20 << 20, np.uint8)\n"
        "    before = before or resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    env = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000  # pages of 4 KiB: an array has 5120
