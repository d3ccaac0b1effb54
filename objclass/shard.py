"""A shard: one of the equal parts of a run, which jobs of an array do at the same time. Standard library only."""

import os
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of a run; ``number`` is from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def lanes(self, total: int) -> range:
        """The numbers of its lanes, from 0, of ``total``: one after the other, so that shards are joined in order.

        Examples
        --------
        >>> [list(Shard(number, 3).lanes(5)) for number in (1, 2, 3)]
        [[0], [1, 2], [3, 4]]
        """
        return range(total * (self.number - 1) // self.count, total * self.number // self.count)


def parse_shard(text: str) -> Shard:
    """``"2/4"``, or ``"auto"``: the shard that the array job of this process is to do.

    Raises
    ------
    ArgumentTypeError
        If it is neither, or this is no array job.
    """
    if text == "auto":
        return shard_of_array(os.environ)
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not 1 <= shard.number <= shard.count:
        message = f"'{text}': expected a number and how many there are, from 1/4 to 4/4, or auto"
        raise ArgumentTypeError(message)
    return shard


@dataclass(frozen=True)
class Scheduler:
    """The variables in which a scheduler sets the place of a job in an array.

    Parameters
    ----------
    name
        Its name.
    number, last, first, step, count
        Variables: the number of the job; those of the last and of the first one (1 where there is no variable); their
        distance; how many there are, where an array may have gaps.
    """

    name: str
    number: str
    last: str
    first: str = ""
    step: str = ""
    count: str = ""


_SLURM = "SLURM_ARRAY_TASK"

SCHEDULERS = (
    Scheduler("Slurm", *(f"{_SLURM}_{what}" for what in ("ID", "MAX", "MIN", "STEP", "COUNT"))),
    Scheduler("Grid Engine", "SGE_TASK_ID", "SGE_TASK_LAST", "SGE_TASK_FIRST", "SGE_TASK_STEPSIZE"),
    Scheduler("LSF", "LSB_JOBINDEX", "LSB_JOBINDEX_END", step="LSB_JOBINDEX_STEP"),
)
"""Schedulers that set the number of jobs for each job; PBS does not."""


def shard_of_array(variables: Mapping[str, str]) -> Shard:
    """The shard of a job of an array, whose numbers are 0 … n - 1 or 1 … n.

    Raises
    ------
    ArgumentTypeError
        If the variables are not there, or the numbers are others: those of an array of some jobs, such as those that
        failed, do not show how many there were.

    Examples
    --------
    >>> str(shard_of_array({"SGE_TASK_ID": "2", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "4"}))
    '2/4'
    """
    scheduler = next((s for s in SCHEDULERS if variables.get(s.number, "").isdecimal()), None)
    if scheduler is None:
        known = ", ".join(f"{s.number} and {s.last} ({s.name})" for s in SCHEDULERS)
        message = f"auto: this is no job of an array: expected the variables {known}; else give the shard, such as 1/4"
        raise ArgumentTypeError(message)
    number, last = (_number(variables, name) for name in (scheduler.number, scheduler.last))
    first, step = (_number(variables, name, 1) for name in (scheduler.first, scheduler.step))
    count = _number(variables, scheduler.count, last - first + 1)
    if first not in (0, 1) or step != 1 or count != last - first + 1 or not first <= number <= last:
        message = (
            f"auto: this is job {number} of an array of {scheduler.name} from {first} to {last}, and may be of a part of an "
            "array: expected all numbers from 0 or 1 on; to do some of them again, give the shard, such as 2/4"
        )
        raise ArgumentTypeError(message)
    return Shard(number - first + 1, last - first + 1)


def _number(variables: Mapping[str, str], name: str, default: int | None = None) -> int:
    """The whole number in a variable."""
    text = variables.get(name, "")
    if not text and default is not None:
        return default
    if not text.isdecimal():
        message = f"auto: {name} is '{text}': expected a whole number"
        raise ArgumentTypeError(message)
    return int(text)
