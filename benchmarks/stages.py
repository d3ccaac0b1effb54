"""The serial share of each stage of a run: ``python benchmarks/stages.py FOLDER NAME [JOBS]``.

The images are made unless they are there. A stage's serial share is what the thread that hands out its work
spends, beside work that it might have handed out, of the processor's seconds of all threads: what further
threads cannot take. Shares of
seconds hardly depend on what else the machine does. A second run is measured, in one process, with kernels
loaded. The last column is what the shares allow with so many cores (Amdahl).
"""

import sys
from collections import defaultdict
from pathlib import Path
from threading import current_thread, main_thread
from time import process_time, thread_time

import images

from objclass.cli import main
from objclass.compute.threads import Task
from objclass.pipeline.lane import Clock

CORES = (2, 16, 64)


class Shares(defaultdict):
    """Seconds of the thread that hands out the work, and of all threads, by stage."""

    def __init__(self):
        super().__init__(lambda: [0.0, 0.0])
        self.helped, self.is_helping = 0.0, False
        self.restart()

    def now(self):
        """Seconds so far, of the thread that hands out work without what it took part in, and of all."""
        return thread_time() - self.helped, process_time()

    def restart(self):
        """Count from now."""
        self.last = self.now()

    def help(self, run, task):
        """Count work that was handed out as such, though this thread does it."""
        if self.is_helping or current_thread() is not main_thread():
            return run(task)
        self.is_helping, start = True, thread_time()
        try:
            return run(task)
        finally:
            self.is_helping = False
            self.helped += thread_time() - start

    def lap(self, stage):
        """Count what was spent since under a stage."""
        now = self.now()
        for place in range(2):
            self[stage][place] += now[place] - self.last[place]
        self.last = now


def watched():
    """The shares of all runs of this process from now on: the clock of a lane says when stages end."""
    shares = Shares()
    restart, lap, run = Clock.restart, Clock.lap, Task.run

    def counted_restart(clock):
        shares.restart()
        restart(clock)

    def counted_lap(clock, stage):
        shares.lap(stage)
        lap(clock, stage)

    Clock.restart, Clock.lap = counted_restart, counted_lap
    Task.run = lambda task: shares.help(run, task)
    return shares


def measured(folder, name, jobs):
    """The shares of a run: Standard features, label image as NumPy file, table."""
    arguments = [
        "--headless", "--quiet", "--raw_data", f"{folder}/{name}_raw.tif", "--segmentation_image", f"{folder}/{name}_seg.tif",
        "--input_axes", "zyx", "--features", "Standard Object Features", "--margin", "5", "--output_format", "numpy",
        "--output_filename_format", f"{folder}/stages_ids", "--table_filename", f"{folder}/stages.csv", "--jobs", str(jobs),
    ]  # fmt: skip
    shares = watched()
    for _ in range(2):
        shares.clear()
        if main(arguments):
            raise SystemExit(1)
    return shares


def report(shares):
    """One line for each stage, and one for all."""
    total = [sum(part) for part in zip(*shares.values(), strict=True)]
    for stage, (serial, all_) in (*shares.items(), ("all", total)):
        share = min(serial / all_, 1) if all_ else 0
        gains = ", ".join(f"{n} cores {1 / (share + (1 - share) / n):.1f}×" for n in CORES)
        yield f"{stage:10} {all_:7.2f} s of the processor, serial {share:5.0%}: {gains}"


if __name__ == "__main__":
    where, size, *given = sys.argv[1:]
    Path(where).mkdir(parents=True, exist_ok=True)
    images.write(where, "tif", size)
    for line in report(measured(where, size, int(given[0]) if given else 2)):
        sys.stdout.write(f"{line}\n")
