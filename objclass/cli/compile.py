"""``objclass compile``: every kernel compiled ahead of the first run, for container images and clusters."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from objclass.cli import CommandOptions, Parser
from objclass.compute import processor
from objclass.compute.kernels import CACHE_FOLDER, folders
from objclass.compute.processor import Processor
from objclass.errors import OutputError, Stop, UsageError
from objclass.registry import KERNELS, resolve
from objclass.settings import knob


@dataclass(frozen=True)
class CompileOptions(CommandOptions):
    """Options of the command."""

    portable: bool = knob(
        False,
        "for all processors of the last ten years and more (x86-64-v3, or 64-bit ARM), not only for this one: for container images, and for clusters of unlike machines",
    )
    where: bool = knob(False, "only print where compiled code is kept")
    debug: bool = knob(False, "show the traceback of an error")


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Compile the kernels that are not compiled yet, and print their names and the folder that holds them.

    Raises
    ------
    UsageError
        If there is no compiler, or it fails.
    OutputError
        If compiled code can be kept nowhere.
    """
    options: CompileOptions = Parser(
        CompileOptions,
        "objclass compile",
        "Compile all kernels for this processor and keep them; otherwise the first large runs compile them.",
    ).parse_args(list(arguments))
    if not options.where:
        target = processor.common() if options.portable else processor.present()
        if options.portable:
            processor.tune_for(target)
        compile_all(target, stop)
    for folder in folders():
        files = list(folder.glob("*.o"))
        size = sum(file.stat().st_size for file in files)
        sys.stdout.write(f"{folder}: {len(files)} files, {size / 1000:.0f} kB\n")
    return 0


def compile_all(target: Processor, stop: Stop) -> None:
    """Compile the kernels that are not kept, one after the other."""
    for kernel in map(resolve, KERNELS):
        stop.check()
        started = perf_counter()
        try:
            if kernel.path(target) is not None:
                sys.stdout.write(f"{kernel.name}: kept\n")
                continue
            kept = kernel.compile(target)
        except Exception as fault:
            message = f"kernel {kernel.name}: {type(fault).__name__}: {fault} (runs work without it, slower)"
            raise UsageError(message) from fault
        if kept is None:
            message = f"compiled code can be kept in none of {', '.join(map(str, folders()))}: give another folder with {CACHE_FOLDER}"
            raise OutputError(message)
        sys.stdout.write(f"{kernel.name}: compiled in {perf_counter() - started:.1f} s\n")
