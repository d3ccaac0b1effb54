"""Trials of damaged files: each is used in a child process, under limits of time and memory; what came of it.

A trial may succeed or raise an `ObjclassError` of one line. Any other exception, a crash, too much time or
memory is a finding, and is told with the command that repeats it.
"""

import argparse
import gc
import json
import logging
import os
import re
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from objclass.errors import ObjclassError

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Subject:
    """What is tried.

    Parameters
    ----------
    samples
        What is damaged, by name; trial n takes sample n, over and over.
    damage
        Writes a damaged copy of a sample into an empty folder; returns what is to be opened, the kind of
        damage, and all of it.
    use
        Opens that and works with it; returns the outcome, in a word or two.
    allowed
        Outcomes that are no findings.
    """

    samples: Sequence[str]
    damage: Callable[[str, Path, Random], tuple[str, str, list[str]]]
    use: Callable[[str], str]
    allowed: tuple[str, ...]


# ---------------------------------------------------------------------- damage to bytes


def stretch(data: bytearray, rng: Random, most: int = 4096) -> slice:
    start = rng.randrange(len(data)) if rng.random() < 0.6 else rng.randrange(min(len(data), 4096))
    return slice(start, min(len(data), start + rng.randrange(1, rng.choice([2, 9, 64, most]))))


def flip(data: bytearray, rng: Random) -> str:
    count = rng.choice([1, 1, 3, 30, 1000])
    near = rng.random() < 0.5
    for _ in range(count):
        data[rng.randrange(min(len(data), 8192) if near else len(data))] ^= 1 << rng.randrange(8)
    return f"flip {count} bits{' near the start' if near else ''}"


def overwrite(data: bytearray, rng: Random) -> str:
    where = stretch(data, rng)
    size = where.stop - where.start
    data[where] = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])
    return f"overwrite {where.start}–{where.stop}"


def number(data: bytearray, rng: Random) -> str:
    """A word of an address, a size, a count."""
    width = rng.choice([1, 2, 4, 8])
    place = rng.randrange(max(len(data) - 8, 1)) & ~(width - 1)
    marks = [m.start() for m in re.finditer(rb"TREE|SNOD|HEAP|GCOL|OHDR|OCHK|FRHP|BTHD|FSHD", bytes(data))]
    if marks and rng.random() < 0.6:
        place = rng.choice(marks) + rng.randrange(64)
    value = rng.choice(
        [0, 1, 7, 255, 65535, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1, place, len(data)]
    )
    data[place : place + width] = (value % (1 << 8 * width)).to_bytes(
        width, rng.choice(["little", "little", "big"])
    )
    return f"{width} bytes at {place} = {value}"


def truncate(data: bytearray, rng: Random) -> str:
    size = rng.choice([rng.randrange(len(data)), len(data) - rng.randrange(1, 2000), rng.randrange(200)])
    del data[max(size, 0) :]
    return f"truncate to {size}"


def repeat(data: bytearray, rng: Random) -> str:
    source, at = stretch(data, rng, 100_000), rng.randrange(len(data))
    if rng.random() < 0.5:
        data[at:at] = data[source]
        return f"insert {source.start}–{source.stop} at {at}"
    data[at : at + source.stop - source.start] = data[source]
    return f"copy {source.start}–{source.stop} to {at}"


def cut(data: bytearray, rng: Random) -> str:
    where = stretch(data, rng)
    del data[where]
    return f"cut {where.start}–{where.stop}"


BYTES = [flip, overwrite, number, number, truncate, repeat, cut]


def damage_bytes(path: Path, rng: Random) -> tuple[str, list[str]]:
    """Damage the bytes of a file; the kind of damage, and all of it."""
    data = bytearray(path.read_bytes())
    ways = [rng.choice(BYTES) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    done = [way(data, rng) for way in ways if len(data) > 16]
    path.write_bytes(data)
    return ways[0].__name__ if len(ways) == 1 else "several", done


# ---------------------------------------------------------------------- a trial


class ManyLinesError(Exception):
    """A message of several lines."""


def check_one_line(fault: ObjclassError) -> None:
    if len(str(fault).splitlines()) != 1:
        raise ManyLinesError(repr(str(fault))) from fault


def attempt(use: Callable[[str], str], path: str) -> dict[str, Any]:
    """Outcome of a trial, as told by the child."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            outcome, told = use(path), ""
        except ObjclassError as fault:
            outcome, told = "refused", str(fault)
            if len(told.splitlines()) != 1:
                outcome = "several lines"
            elif "MemoryError" in told:
                outcome = "asked for too much memory"
        except BaseException as fault:  # noqa: BLE001 (that is what is looked for)
            outcome, told = type(fault).__name__, traceback.format_exc()
    return {"outcome": outcome, "told": told, "warned": sorted({str(w.message) for w in heard})}


@dataclass
class Result:
    """What came of a trial."""

    number: int
    sample: str
    kind: str
    done: list[str]
    outcome: str
    told: str
    seconds: float
    megabytes: float
    warned: list[str] = field(default_factory=list)


def in_child(
    use: Callable[[str], str], path: str, seconds: float, megabytes: int
) -> tuple[dict[str, Any], float, float]:
    """The outcome, the seconds it took and the most memory that a child held."""
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_DATA, (used_data() + 4 * megabytes * MEGABYTE,) * 2)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            told = json.dumps(attempt(use, path)).encode()
            while told:
                told = told[os.write(writing, told) :]
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    spent, held = time.monotonic() - began, usage.ru_maxrss / 1024
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        outcome = "too long" if name == "SIGALRM" else f"crash by {name}"
        return {"outcome": outcome, "told": "", "warned": []}, spent, held
    told = json.loads(answer) if answer else {"outcome": "no answer", "told": "", "warned": []}
    if held > megabytes:
        told["outcome"] = "too much memory"
    return told, spent, held


def used_data() -> int:
    """Bytes that count for RLIMIT_DATA."""
    return int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def trial(subject: Subject, seed: int, number: int, folder: Path, limits: tuple[float, int]) -> Result:
    rng = Random(f"{seed}:{number}")
    sample = subject.samples[number % len(subject.samples)]
    path, kind, done = subject.damage(sample, folder, rng)
    answer, seconds, megabytes = in_child(subject.use, path, *limits)
    return Result(
        number, sample, kind, done, answer["outcome"], answer["told"], seconds, megabytes, answer["warned"]
    )


# ---------------------------------------------------------------------- the report


def finding(result: Result, again: str) -> str:
    told = "\n  ".join(result.told[-3000:].splitlines())
    return (
        f"{result.outcome} ({result.seconds:.2f} s, {result.megabytes:.0f} MB)\n  {again}\n"
        f"  {result.sample}: {'; '.join(result.done)}\n  {told}\n"
    )


def summary(results: list[Result], allowed: tuple[str, ...], spent: float) -> str:
    outcomes = Counter(result.outcome for result in results)
    columns = [*allowed, *sorted(set(outcomes) - set(allowed))]
    lines = ["  ".join([f"{'damage':<16}", *columns])]
    for kind in sorted({result.kind for result in results}):
        here = Counter(result.outcome for result in results if result.kind == kind)
        lines.append("  ".join([f"{kind:<16}", *(f"{here[name]:>{len(name)}}" for name in columns)]))
    lines.append("  ".join([f"{'all':<16}", *(f"{outcomes[name]:>{len(name)}}" for name in columns)]))
    slowest, largest = max(results, key=lambda r: r.seconds), max(results, key=lambda r: r.megabytes)
    lines += [
        f"{len(results)} trials in {spent:.0f} s",
        f"slowest  {slowest.seconds:.2f} s: {slowest.number}, {slowest.sample}, {'; '.join(slowest.done)[:150]}",
        f"largest  {largest.megabytes:.0f} MB: {largest.number}, {largest.sample}, {'; '.join(largest.done)[:150]}",
    ]
    warned = Counter(text for result in results for text in result.warned)
    lines += [f"warned   {count} times: {text[:150]}" for text, count in warned.most_common(10)]
    return "\n".join(lines) + "\n"


def options_of(description: str | None) -> argparse.ArgumentParser:
    """What every script of trials can be asked for."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000, help="trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10, help="that a trial may take")
    parser.add_argument("--megabytes", type=int, default=1024, help="that a trial may hold")
    parser.add_argument("--only", type=int, help="the number of one trial to repeat")
    parser.add_argument("--keep", help="folder for the files of findings (or of --only)")
    return parser


def run(subject: Subject, options: argparse.Namespace, script: str) -> int:
    """All trials; 1 if there was a finding. Import and warm up everything before: children are forks."""
    logging.getLogger("objclass").addHandler(logging.NullHandler())
    logging.getLogger("objclass").propagate = False
    gc.collect()
    gc.freeze()
    numbers = range(options.count) if options.only is None else [options.only]
    results, began = [], time.monotonic()
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            limits = options.seconds, options.megabytes
            result = trial(subject, options.seed, number, Path(folder), limits)
            results.append(result)
            found = result.outcome not in subject.allowed
            if found or options.only is not None:
                again = f"python {script} --seed {options.seed} --only {number} {shlex.quote(result.sample)}"
                sys.stdout.write(("FINDING " if found else "TRIAL ") + finding(result, again))
                sys.stdout.flush()
                if options.keep:
                    shutil.copytree(folder, Path(options.keep) / str(number), dirs_exist_ok=True)
    sys.stdout.write(summary(results, subject.allowed, time.monotonic() - began))
    return int(any(result.outcome not in subject.allowed for result in results))
