"""``objclass runs``: the runs of a folder, and how two of them differ."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import expanduser as expand_home
from pathlib import Path
from typing import Any, Optional

from objclass.cli import CommandOptions, Parser
from objclass.cli.messages import printable
from objclass.errors import Stop
from objclass.settings import knob


@dataclass(frozen=True)
class RunsOptions(CommandOptions):
    """What to list."""

    folder: Optional[str] = knob(
        None, "folder with run files (default: the present one)", args=["folder"], nargs="?", type=expand_home, metavar="FOLDER"
    )  # fmt: skip
    compare: Optional[list[str]] = knob(
        None, "name what differs between two run files: options, inputs, results", nargs=2, type=str, metavar="FILE"
    )  # fmt: skip
    json: bool = knob(False, "as JSON")
    debug: bool = knob(False, "show the traceback of an error")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Print to stdout; the exit code is 1 where compared runs differ."""
    parser = Parser(RunsOptions, "objclass runs", "List the runs of a folder, or compare two.")
    options: RunsOptions = parser.parse_args(list(arguments))
    from objclass.batch.history import differences, history, summary
    from objclass.batch.run_file import read_run

    if options.compare:
        found = list(differences(*(read_run(Path(path)) for path in options.compare)))
        lines = json.dumps(found, indent=1).split("\n") if options.json else found or ["no difference"]
        _print(lines)
        return int(bool(found))
    runs = [summary(path, run) for path, run in history(options.folder or ".")]
    _print(json.dumps(runs, indent=1).split("\n") if options.json else _lines(runs))
    return 0


def _print(lines: Sequence[str] | Iterator[str]) -> None:
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def _lines(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        lanes = f"{run['done']} of {run['lanes']} lanes done"
        lanes += "".join(f", {run[key]} {key.replace('_', ' ')}" for key in ("failed", "not_run") if run[key])
        seconds = "" if run["seconds"] is None else f" in {run['seconds']:.1f} s"
        yield f"{run['file']}: {run['started']}, objclass {run['objclass']}: {lanes}, {run['objects']} objects{seconds}"
        if run["error"]:
            yield f"  {run['error']}"
        yield f"  objclass {' '.join(run['arguments'])}"
