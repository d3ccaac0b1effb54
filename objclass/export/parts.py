"""Names of parts: what one shard of a run writes of a file that lanes share.

The part of ``t.csv`` is ``t.shard-2-of-4.csv``; while lanes are missing, ``t.shard-2-of-4.partial.csv``: the name alone says
whether a part is complete.
"""

import os
import re
from dataclasses import dataclass, replace
from typing import Self

from objclass.export.naming import split_suffix
from objclass.registry import report_format
from objclass.shard import Shard

_NAME = re.compile(
    r"(?P<stem>.+)\.shard-(?P<number>[1-9][0-9]{0,8})-of-(?P<count>[1-9][0-9]{0,8})(?P<partial>\.partial)?(?P<suffix>[._].+)"
)

FINDINGS = ".jsonl"
"""Suffix of the part of a report, behind its own: it holds what was found, from which the page is drawn."""


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Parameters
    ----------
    folder
        Its folder; ``""`` for the present one.
    stem, suffix
        The name of the file, and all that is behind the shard.
    shard
        Which part it is.
    is_partial
        Whether lanes are missing.
    """

    folder: str
    stem: str
    suffix: str
    shard: Shard
    is_partial: bool = False

    @classmethod
    def of(cls, path: str) -> Self | None:
        """The part of a path; None if it is none."""
        folder, name = os.path.split(path)
        found = _NAME.fullmatch(name)
        if found is None or int(found["number"]) > int(found["count"]):
            return None
        shard = Shard(int(found["number"]), int(found["count"]))
        return cls(folder, found["stem"], found["suffix"], shard, found["partial"] is not None)

    @property
    def path(self) -> str:
        """Its path."""
        of = f".shard-{self.shard.number}-of-{self.shard.count}"
        name = f"{self.stem}{of}{'.partial' * self.is_partial}{self.suffix}"
        return os.path.join(self.folder, name)

    @property
    def is_report(self) -> bool:
        """Whether it is a part of a report."""
        return (
            self.suffix.endswith(FINDINGS) and report_format(self.suffix.removesuffix(FINDINGS)) is not None
        )

    @property
    def whole(self) -> str:
        """The path of the file that it is a part of."""
        suffix = self.suffix.removesuffix(FINDINGS) if self.is_report else self.suffix
        return os.path.join(self.folder, self.stem + suffix)

    @property
    def incomplete(self) -> Self:
        """The same part while lanes are missing."""
        return replace(self, is_partial=True)


def part_of(whole: str, shard: Shard) -> str:
    """The path of a part of a file.

    Examples
    --------
    >>> part_of("out/t.csv.gz", Shard(2, 4)), part_of("r.html", Shard(1, 2))
    ('out/t.shard-2-of-4.csv.gz', 'r.shard-1-of-2.html.jsonl')
    """
    stem, suffix = split_suffix(whole)
    more = FINDINGS if report_format(whole) is not None else ""
    return Part(*os.path.split(stem), suffix + more, shard).path


def whole_of(path: str) -> str:
    """The path of the file that a path is a part of; the path itself if it is none.

    Examples
    --------
    >>> whole_of("out/t.shard-2-of-4.csv.gz"), whole_of("r.shard-1-of-2.html.jsonl"), whole_of("t.csv")
    ('out/t.csv.gz', 'r.html', 't.csv')
    """
    part = Part.of(path)
    return path if part is None else part.whole
