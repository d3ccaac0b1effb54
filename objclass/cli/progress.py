"""The progress of a run: bars on a terminal, else a line in the log from time to time."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import Any, Self

from objclass.cli.messages import FEW_LANES, printable
from objclass.compute.origin import RUN

log = logging.getLogger("objclass")

INTERVAL = 30.0
"""Seconds that are at least between two lines of progress; a percent of the run is, too."""

LARGE = 2.0
"""Seconds after which a lane of a batch gets a bar of its own."""


class Progress:
    """How far a run is: called with the name of a lane and its completed fraction, from any thread.

    Parameters
    ----------
    lanes
        The number of lanes, as far as it is known before the run.
    """

    def __init__(self, lanes: int) -> None:
        self._lanes, self._done = max(lanes, 1), 0
        self._under_way: dict[str, float] = {}
        self._lock = Lock()

    def expect(self, lanes: int) -> None:
        """Begin the lanes, whose number is known now; what was reported before is training."""
        self._lanes, self._done = max(lanes, 1), 0
        self._under_way.clear()
        if lanes > FEW_LANES:
            log.info(
                "%d lanes: about every %dth is shown here (all of them with --logfile or --log_json)",
                lanes,
                lanes // 10,
            )

    def __call__(self, lane: str, share: float) -> None:
        """Take note that a lane is completed to this fraction."""
        with self._lock:
            if share < 1:
                self._under_way[lane] = share
            else:
                self._under_way.pop(lane, None)
                self._done += 1
            self._show(lane, share)

    @property
    def part(self) -> float:
        """The completed fraction of the run."""
        return min((self._done + sum(self._under_way.values())) / self._lanes, 1.0)

    def _show(self, lane: str, share: float) -> None:
        """Show it; called by one thread at a time."""
        raise NotImplementedError


class Lines(Progress):
    """A line in the log from time to time."""

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes)
        self._begin()

    def expect(self, lanes: int) -> None:
        """Begin the lanes."""
        super().expect(lanes)
        self._begin()

    def _begin(self) -> None:
        self._last, self._shown, self._percent = monotonic(), 0.0, 0

    def _show(self, lane: str, share: float) -> None:
        now, part = monotonic(), self.part
        percent = int(100 * part + 1e-6)
        if now - self._last < INTERVAL or percent in (self._percent, 100):
            return
        left = (1 - part) * (now - self._last) / (part - self._shown)
        self._last, self._shown, self._percent = now, part, percent
        what = lane if self._lanes == 1 else f"{self._done} of {self._lanes} lanes"
        fields = {"progress": round(part, 4)}
        log.info("%s: %d %% done, about %s left", what, percent, duration(left), extra={"fields": fields})


def duration(seconds: float) -> str:
    """A time to wait, roughly.

    Examples
    --------
    >>> duration(48.2), duration(312), duration(9000)
    ('48 s', '5 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Bars(Progress):
    """A bar for the run, and one for a large lane that is alone under way."""

    def __init__(self, lanes: int) -> None:
        super().__init__(lanes)
        from tqdm import tqdm

        self._tqdm = tqdm
        self._run = self._bar()
        self._lane: Any = None
        self._name = ""

    def _bar(self, **more: Any) -> Any:
        return self._tqdm(
            total=1.0, leave=False, dynamic_ncols=True, file=sys.stderr,
            bar_format="{percentage:3.0f}%|{bar:30}| [{elapsed}<{remaining}] {desc}", **more,
        )  # fmt: skip

    def __enter__(self) -> Self:
        RUN.get().console.bars = self._tqdm
        return self

    def __exit__(self, *_: object) -> None:
        RUN.get().console.bars = None
        self._follow("")
        self._run.close()

    def _show(self, lane: str, share: float) -> None:
        name = printable(lane)
        count = f"{self._done}/{self._lanes} lanes " if self._lanes > 1 else ""
        self._run.set_description_str(count + name, refresh=False)
        self._run.update(self.part - self._run.n)
        if self._lanes > 1:
            alone = list(self._under_way.items())
            self._follow(*alone[0] if len(alone) == 1 else ("", 0.0))

    def _follow(self, name: str, share: float = 0.0) -> None:
        """Show the bar of this lane alone; of none, if the name is empty."""
        if self._lane is not None and name != self._name:
            self._lane.close()
            self._lane = None
        self._name = name
        if name and self._lane is None:
            self._lane = self._bar(delay=LARGE, position=1, desc=printable(name))
        if self._lane is not None:
            self._lane.update(share - self._lane.n)


@contextmanager
def reported(lanes: int, *, quiet: bool) -> Iterator[Progress]:
    """The progress of a run: as bars, messages above them; where there is no terminal, as lines in the log."""
    if quiet or not sys.stderr.isatty():
        yield Lines(lanes)
        return
    with Bars(lanes) as bars:
        yield bars
