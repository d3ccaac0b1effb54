"""One volume by one and two worker processes, and a model of many workers: ``python benchmarks/scaling.py FOLDER [D]``.

First the same run by threads and by worker processes, by turns. Then the tasks of the volume are done here, one after
the other, with the seconds of the processor and the bytes that cross of each kind; from these a model says what
10 Tvoxel take by 16 and 128 workers, and what is not divided.

The model: label images, features and painting grow with the voxels; a part is also measured where its objects reach
into the next ones, so thin parts cost more; seams grow with the area of the seams, their union with the components that
touch them, rows with the objects. Objects are as large and as dense as in the volume that was measured. Disks and
networks are taken to be as fast as the workers ask.
"""

import argparse
import json
import pickle
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from math import ceil
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import images
import numpy as np
from turns import by_turns, middle, process, short

from objclass.batch.cluster import dask_workers
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import Lane
from objclass.features.contract import choose
from objclass.images import open_image
from objclass.pipeline.cut import Parts, cut_lane
from objclass.pipeline.cut.parts import THIN
from objclass.pipeline.lane import FEATURE_BYTES, OBJECT_BYTES, Clock, run_lane
from objclass.pipeline.plan import Plan
from objclass.settings import EngineSettings, ResourceSettings

TERAVOXELS, WORKERS = 10, (16, 128)
THICKNESSES = (256, 64, 16)
"""Planes of the parts that are measured."""
MEMORY = 4_000_000_000


@dataclass
class Kind:
    """The tasks of a kind: how many, seconds of the processor, bytes that cross."""

    count: int = 0
    seconds: float = 0.0
    size: int = 0


@dataclass
class CountingWorkers:
    """Do each task here, and count."""

    count: int = 1
    limits: Limits = field(default_factory=lambda: Limits(MEMORY))
    kinds: dict = field(default_factory=lambda: defaultdict(Kind))
    open: int = 0
    """Components that touch seams."""

    def ordered(self, function, common, items):
        """The results in the order of the items."""
        for item in items:
            kind = self.kinds[item[0].__name__]
            start = process_time()
            report = function(common, item)
            kind.seconds += process_time() - start
            kind.count += 1
            kind.size += len(pickle.dumps(item)) + len(pickle.dumps(report))
            self.open += len(getattr(getattr(report.result, "open", None), "ids", ()))
            yield report


# ---------------------------------------------------------------------------- one and two workers


def engines(folder, name, features, rounds):
    """What the run takes by threads, and by one and two worker processes; and the seconds of its table."""
    tables = []
    command = [
        sys.executable, "-m", "objclass", "--headless", "--quiet", "--raw_data", folder / f"{name}_raw.tif",
        "--segmentation_image", folder / f"{name}_seg.tif", "--features", *features, "--export_object_identities_img",
        "--output_format", "single-scale OME-Zarr",
    ]  # fmt: skip

    def run(*options):
        def go():
            with TemporaryDirectory(dir=folder) as out:
                outputs = "--output_filename_format", f"{out}/ids", "--table_filename", f"{out}/t.csv"
                taken = process([*command, *outputs, *options])
                seconds = json.loads(Path(out, "objclass_run.json").read_text())["lanes"][0]["seconds"]
                tables.append(seconds["table"] + seconds["commit"])
                return taken

        return go

    jobs = {
        "threads, 1": run("--jobs", "1"),
        "threads, 2": run("--jobs", "2"),
        "dask, 1 worker": run("--engine", "dask", "--jobs", "1"),
        "dask, 2 workers": run("--engine", "dask", "--jobs", "2"),
    }
    return {what: middle(taken) for what, taken in by_turns(jobs, rounds).items()}, min(tables)


# ---------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Measured:
    """What the tasks of a volume took, cut into parts of so many planes."""

    planes: int
    kinds: dict
    union: float
    open: int


def tasks(folder, name, features):
    """Seconds of the undivided lane, its objects, and what the tasks took for parts of each thickness."""
    raw, segmentation = (
        open_image(str(folder / f"{name}_{what}.tif"), axes="zyx") for what in ("raw", "seg")
    )
    lane = Lane(raw, segmentation, "segmentation_image", name, str(folder))
    chosen = tuple(choose(features, 3, 1))
    plan = Plan(
        tuple(dict.fromkeys([*chosen, *choose(["Default features"], 3, 1)])), chosen, margin=(30, 30, 30)
    )
    for _ in range(2):  # the first one loads kernels
        start = process_time()
        (step,) = run_lane(lane, plan, Context(Limits(MEMORY)))
        whole = process_time() - start
    found = []
    depth, height, _ = raw.shape[1:4]
    for planes in (planes for planes in THICKNESSES if planes < depth):
        workers, clock = CountingWorkers(), Clock()
        with TemporaryDirectory(dir=folder) as scratch:
            parts = Parts(raw.shape[1:4], (planes, height))
            (again,) = cut_lane(lane, plan, Context(Limits(MEMORY)), workers, scratch, clock, parts)
        assert again.objects.count == step.objects.count
        found.append(Measured(planes, dict(workers.kinds), clock.seconds["union"], workers.open))
    return whole, step, found


def bytes_of_a_row(step):
    """Bytes that the run holds for each object, as it judges whether all fit into memory."""
    return OBJECT_BYTES + FEATURE_BYTES * len(step.table.values)


def overhead_of_a_task(count=1000):
    """Seconds for a task of the engine that does nothing, many of them one after the other."""
    resources = ResourceSettings(jobs=1)
    with dask_workers(EngineSettings(engine="dask"), resources, Context.of(resources)) as (workers, _):
        for _ in range(2):  # the first round starts the process
            start = perf_counter()
            assert sum(workers.ordered(add, 0, range(count))) == count * (count - 1) // 2
            taken = perf_counter() - start
    return taken / count


# ---------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Model:
    """What a volume of ``side``³ voxels takes, from what one of ``measured`` voxels took.

    ``rows`` are objects of the measured volume, ``row`` bytes of each in memory, ``table`` the seconds to write them, ``task`` the seconds that the engine
    needs for each task.
    """

    parts: list
    voxels: int
    face: int
    rows: int
    row: int
    table: float
    task: float

    def of(self, workers, voxels):
        """Seconds that are divided and that are not, and bytes that cross, by name."""
        side = round(voxels ** (1 / 3))
        planes = max(min(side // (2 * workers), THIN), 1)
        count, more = ceil(side / planes), voxels / self.voxels
        near = min(self.parts, key=lambda found: abs(np.log(found.planes / planes)))
        kinds, seams = near.kinds, near.kinds["seam_pairs"].count
        divided = {name: kind.seconds * more for name, kind in kinds.items() if name != "seam_pairs"}
        area = side**2 * (count - 1) / (self.face * seams)
        divided["seam_pairs"] = kinds["seam_pairs"].seconds * area
        number = 4 * count
        return {
            "planes": planes,
            "parts": count,
            "divided": divided,
            "union": near.union * area,
            "table": self.table * more,
            "scheduling": number * self.task,
            "bytes": sum(kind.size for name, kind in kinds.items() if name == "measure_part") * more
            + sum(kind.size for name, kind in kinds.items() if name != "measure_part") * area,
            "objects": round(self.rows * more),
            "memory": self.rows * self.row * more,
        }


def model_rows(model):
    """Rows of the model."""
    for workers in WORKERS:
        found = model.of(workers, TERAVOXELS * 10**12)
        work, serial = sum(found["divided"].values()), found["union"]
        hours = work / workers / 3600
        yield (
            f"| {workers} | {found['parts']} of {found['planes']} planes | {work / 3600:.0f} h | {hours:.1f} h | {serial:.0f} s | "
            f"{serial / work:.4%} | {found['table'] / 3600:.1f} h ({found['table'] / work:.2%}) | {found['memory'] / 1e9:.0f} GB | {found['scheduling']:.0f} s | {found['bytes'] / 1e9:.0f} GB | "
            f"{found['bytes'] / (hours * 3600) / 1e6:.1f} MB/s |"
        )


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "name", nargs="?", default="D", choices=[n for n, (s, *_) in images.SIZES.items() if s[0] > 32]
    )
    parser.add_argument("--features", nargs="+", default=["Standard Object Features"])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    folder, name = given.folder.resolve(), given.name
    folder.mkdir(parents=True, exist_ok=True)
    images.write(folder, "tif", name)
    shape = images.SIZES[name][0]

    print(f"{name}, {' × '.join(map(str, shape))}, features {', '.join(given.features)}\n")
    found, table = engines(folder, name, given.features, given.rounds)
    one = found["threads, 1"].wall
    print("| engine | whole run, cold | against one thread |\n|---|---|---|")
    for what, taken in found.items():
        print(f"| {what} | {taken} | {taken.wall / one:.2f}× |")

    whole, step, parts = tasks(folder, name, given.features)
    print(
        f"\nUndivided, in memory, one thread: {short(whole)} s of the processor; {step.objects.count} objects\n"
    )
    print("| parts | " + " | ".join(parts[0].kinds) + " | all | union | open components | bytes that cross |")
    print("|---" * (len(parts[0].kinds) + 5) + "|")
    for cut in parts:
        seconds = [kind.seconds for kind in cut.kinds.values()]
        size = sum(kind.size for kind in cut.kinds.values())
        row = [
            *map(short, seconds),
            f"{short(sum(seconds))} ({sum(seconds) / whole:.2f}×)",
            f"{cut.union:.4f} s",
        ]
        print(
            f"| of {cut.planes} planes | " + " | ".join([*row, str(cut.open), f"{size / 1e6:.1f} MB"]) + " |"
        )

    task = overhead_of_a_task()
    model = Model(
        parts, int(np.prod(shape)), shape[1] * shape[2], step.objects.count, bytes_of_a_row(step), table, task
    )
    print(
        f"\nA task of the engine: {task * 1e3:.1f} ms. {TERAVOXELS} Tvoxel, {model.of(1, TERAVOXELS * 10**12)['objects']:,} objects:\n"
    )
    print(
        "| workers | parts | work | divided by workers | union and numbering, serial | of the work | table, written by one | its rows in memory there | scheduling, "
        "meanwhile | crosses | on average |"
    )
    print("|---" * 11 + "|")
    for line in model_rows(model):
        print(line)


if __name__ == "__main__":
    main()
