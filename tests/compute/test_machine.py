"""What this process may use, told from files as containers and schedulers leave them."""

import os
from pathlib import Path

import pytest

from objclass.compute import machine

GIB = 1 << 30


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A made-up machine of 16 cores and 8 GiB free; answers a function that says what a file holds."""
    texts = {"/proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {8 << 20} kB\nSwapFree: 0 kB\n"}

    def text(path):
        return texts.get(str(path), "")

    def say(path, content):
        texts[path if path.startswith("/") else str(tmp_path / path)] = content

    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_text", text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    return say


def test_without_limits_it_is_the_machine(host):
    assert machine.cores() == 16
    assert machine.free_memory() == 8 * GIB


def test_nothing_known_of_memory(host):
    host("/proc/meminfo", "")
    assert machine.free_memory() is None


def test_affinity(host, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 6})
    assert machine.cores() == 3


def test_no_affinity_on_this_system(host, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert machine.cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


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
    assert (machine.free_memory() or 1) > 0
    assert (machine.peak_memory() or 1 << 20) >= 1 << 20
