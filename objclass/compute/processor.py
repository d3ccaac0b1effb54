"""Processors that machine code is made for: the present one, or all that have been usual for years.

LLVM's words: the target triple (such as ``x86_64-unknown-linux-gnu``), the name of a processor, and its features.
"""

import sys
from typing import Any, NamedTuple


class Processor(NamedTuple):
    """What machine code is made for."""

    triple: str
    name: str
    features: str


COMMON = {"x86_64": "x86-64-v3"}
"""The processors that portable code is made for, by the first part of the triple; ``generic`` for all others."""

V3 = {"avx2", "bmi", "bmi2", "cx16", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sahf", "sse4.2"}
"""What x86-64-v3 has beyond the first processors with 64 bits: those of Intel since 2013, of AMD since 2015."""


def present() -> Processor:
    """The processor of this machine."""
    import llvmlite.binding as llvm

    return Processor(_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


def common() -> Processor:
    """The processors that portable code is made for; that of this machine need not be one."""
    triple = _triple()
    return Processor(triple, COMMON.get(_family(triple), "generic"), "")


def runs_portable_code() -> bool:
    """Whether the processor of this machine has all that portable code uses."""
    import llvmlite.binding as llvm

    if _family(_triple()) not in COMMON:
        return True
    features: dict[str, bool] = llvm.get_host_cpu_features()
    return all(features.get(name, False) for name in V3)


def tune_for(processor: Processor) -> None:
    """Let numba optimise for this processor: of a process, it counts what is given before the first compilation."""
    import numba

    settings: Any = numba.config
    settings.CPU_NAME, settings.CPU_FEATURES = processor.name, processor.features


def _triple() -> str:
    import llvmlite.binding as llvm

    triple: str = llvm.get_process_triple()
    return f"{triple}-elf" if sys.platform == "win32" else triple  # as numba: LLVM loads no other code there


def _family(triple: str) -> str:
    return triple.split("-", 1)[0]
