"""What every kind of output of a run promises: images, tables, pictures of objects, and more to come."""

from dataclasses import dataclass
from typing import Protocol

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.export.files import LaneFiles
from objclass.pipeline.lane import Step


@dataclass(frozen=True)
class Header:
    """What is known of a lane before its pixels are read.

    Parameters
    ----------
    lane
        Its images.
    columns
        Names of the columns of its table.
    """

    lane: Lane
    columns: tuple[str, ...]


class Sink(Protocol):
    """One output of one lane. Lanes may be run side by side; they are committed in their order."""

    duty: str
    """What its time is called in the run file."""

    def refusal(self, header: Header) -> str | None:
        """Why the lane cannot be written so, and what can be done; None if it can. Writes nothing."""

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Get ready to write, under temporary names that ``files`` has; ``context`` is that of the run."""

    def step(self, step: Step) -> None:
        """Write a time step, or keep what is needed of it."""

    def finish(self) -> None:
        """All time steps have come: complete what belongs to this lane alone."""

    def commit(self) -> None:
        """Hand over what goes into files that lanes share, in the order of the lanes.

        The names of all files of a lane are given together, afterwards, by `LaneFiles.commit`.
        """

    def abort(self) -> None:
        """Let go of everything at once, nothing is finished; the files are removed by `LaneFiles.abort`."""
