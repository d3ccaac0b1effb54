"""``objclass rerun``: repeat a run from its run file."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import expanduser as expand_home
from pathlib import Path
from typing import Optional

from objclass.cli import CommandOptions, Parser
from objclass.errors import InputError, Stop, UsageError, listed
from objclass.settings import knob
from objclass.version import __version__

log = logging.getLogger("objclass")

WITHOUT = frozenset(("--resume", "--verify", "--dry_run", "--json"))
"""Options of a run that are not repeated: all of it is done again."""


@dataclass(frozen=True)
class RerunOptions(CommandOptions):
    """What to repeat."""

    run_file: Optional[str] = knob(
        None, "objclass_run.json of a run", args=["run_file"], nargs="?", type=expand_home, metavar="FILE"
    )
    debug: bool = knob(False, "show the traceback of an error")


def main(arguments: Sequence[str], stop: Stop) -> int:
    """Repeat the run in the folder where it was started, and compare the bytes of its outputs where they are known."""
    parser = Parser(RerunOptions, "objclass rerun", "Repeat a run: same options, inputs, outputs.")
    options: RerunOptions = parser.parse_args(list(arguments))
    if not options.run_file:
        message = "expected one run file: objclass rerun results/objclass_run.json"
        raise UsageError(message)
    from objclass.batch.history import changed_inputs, other_bytes
    from objclass.batch.run_file import read_run
    from objclass.cli.headless import main as run

    path = Path(options.run_file)
    earlier = read_run(path)
    given = earlier.get("arguments")
    if not given or not all(isinstance(text, str) for text in given):
        message = f"{path}: the run was not started from the command line: its arguments are not known"
        raise InputError(message)
    folder = str(earlier.get("folder", path.parent))
    try:
        os.chdir(folder)
    except OSError as fault:
        message = f"{folder}: the run was started there: {fault.strerror}"
        raise InputError(message) from None
    repeated = [text for text in given if text not in WITHOUT]
    changed = changed_inputs(earlier)
    code = run(repeated, stop)
    if earlier.get("objclass") != __version__:
        log.warning("the run was of objclass %s, this is %s", earlier.get("objclass"), __version__)
    if changed:
        log.warning("changed since that run: %s", listed(changed))
    wrong, known = other_bytes(earlier)
    if wrong:
        log.error(
            "%d of %d outputs have other bytes than those of that run: %s", len(wrong), known, listed(wrong)
        )
        return max(code, 1)
    if known:
        log.info("all %d outputs have the same bytes as those of that run", known)
    elif code == 0:
        log.info("the bytes of the outputs are not compared: that run was without --digest content")
    return code
