"""The protocol of every kind of output of a run: images, tables, pictures of objects."""

from dataclasses import dataclass
from typing import Protocol

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.export.files import LaneFiles
from objclass.pipeline.lane import Step


@dataclass(frozen=True)
class Header:
    """The description of a lane before its pixels are read.

    Parameters
    ----------
    lane
        The images of the lane.
    columns
        Names of the columns of its table.
    """

    lane: Lane
    columns: tuple[str, ...]


class Contribution(Protocol):
    """What a lane adds to files that lanes share. Lanes may be run in parallel; they are committed in their order."""

    def commit(self) -> None:
        """Write to the files that lanes share; called in the order of the lanes.

        Afterwards all files of a lane are renamed together.
        """

    def abort(self) -> None:
        """Close everything at once, without finishing; `LaneFiles.abort` removes the files."""


class Sink(Contribution, Protocol):
    """One output of one lane."""

    duty: str
    """The name under which the run file counts its time."""

    def refusal(self, header: Header) -> str | None:
        """The reason why the lane cannot be written, and what to do; None if it can. Writes nothing."""

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Prepare to write, under temporary names from ``files``; ``context`` is that of the run."""

    def step(self, step: Step) -> None:
        """Write a time step, or store what is needed of it."""

    def finish(self) -> None:
        """Complete the files of this lane; there are no more time steps."""
