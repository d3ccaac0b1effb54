"""The part of a report: what a shard has found, lane by lane, from which the page of the whole run is drawn.

A file of lines of JSON: what is known of the run, then the findings of each lane.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

from objclass.errors import InputError
from objclass.export.columns import Columns
from objclass.export.report import COLUMN, Report, findings_of
from objclass.export.tables.writer import reading

_NOT_OF_RUN = ("path", "failed")
"""What is known of a report that may differ between parts."""


class FindingsWriter:
    """Writes the part of a report; lanes are added in their order.

    Parameters
    ----------
    path
        Its temporary file.
    report
        What is known of the run.
    """

    def __init__(self, path: str, report: Report) -> None:
        self._file: TextIO = Path(path).open("w", encoding="utf-8")  # noqa: SIM115 (closed by close)
        known = {name: value for name, value in asdict(report).items() if name not in _NOT_OF_RUN}
        self._file.write(f"{json.dumps({'report': known})}\n")

    def append(self, columns: Columns) -> None:
        """Add the findings of lanes."""
        self._file.writelines(f"{text}\n" for text in columns[COLUMN].tolist())

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        self._file.close()


def joined_findings(parts: Sequence[str], path: str) -> tuple[Report, Iterator[str]]:
    """What is known of the run, for a report of that path, and the findings of all lanes of its parts.

    Raises
    ------
    InputError
        If a part is damaged, or of another run.
    """
    first = _known(parts[0])
    for part in parts[1:]:
        if _known(part) != first:
            message = f"{part} was written with another project or other options than {parts[0]}: expected parts of one run"
            raise InputError(message)
    with reading(parts[0]):
        report = Report(path=path, **{name: _frozen(value) for name, value in first.items()})
    return report, _checked(parts, report)


def _checked(parts: Sequence[str], report: Report) -> Iterator[str]:
    """The findings in all parts, which are those of all lanes in order."""
    findings = (found for part in parts for found in _findings(part))
    for (image, text), lane in zip_longest(findings, report.lanes, fillvalue=("", "")):
        if image != lane:
            message = f"{report.path}: its parts do not hold the lane {lane} where it should be: was one changed, or cut off?"
            raise InputError(message)
        yield text


def _known(part: str) -> dict[str, Any]:
    with reading(part), open(part, encoding="utf-8") as file:
        return dict(json.loads(file.readline())["report"])


def _findings(part: str) -> Iterator[tuple[str, str]]:
    """The name of each lane, and its findings."""
    with reading(part), open(part, encoding="utf-8") as file:
        file.readline()
        for line in file:
            yield findings_of(line).image, line


def _frozen(value: Any) -> Any:
    """Lists as tuples, as a `Report` has them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
