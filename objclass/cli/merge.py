"""``objclass merge``: join what the shards of a run have written."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import expanduser as expand_home
from typing import ClassVar, Optional

from objclass.cli import CommandOptions, Parser
from objclass.cli.messages import MessageOptions, set_up_log
from objclass.errors import Stop, UsageError
from objclass.settings import knob

log = logging.getLogger("objclass")

USAGE = "objclass merge t.shard-*.csv [s.shard-*.csv …] [--table_filename t.csv] [--summary_filename s.csv] [--report r.html]"


@dataclass(frozen=True)
class MergeOptions(CommandOptions, MessageOptions):
    """What to join. The files are the same, byte for byte, as those of one run."""

    group: ClassVar[str] = "merge"

    parts: Optional[list[str]] = knob(
        None, "parts of tables, summaries, reports and run files, in any order, or patterns in quotes; the run files next to "
        "them are joined, too", args=["parts"], nargs="*", type=expand_home, metavar="PART",
    )  # fmt: skip
    table_filename: Optional[str] = knob(
        None, "the table to write (default: its name without the shard)", metavar="PATH", type=expand_home
    )
    summary_filename: Optional[str] = knob(
        None, "the summary to write (default: its name without the shard)", metavar="PATH", type=expand_home
    )
    report: Optional[str] = knob(
        None, "the report to write (default: its name without the shard)", metavar="FILE", type=expand_home
    )
    overwrite: bool = knob(False, "replace existing files")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Join the parts of files."""
    parser = Parser(
        MergeOptions, "objclass merge", "Join the parts that the shards of a run have written.", USAGE
    )
    options: MergeOptions = parser.parse_args(list(arguments))
    set_up_log(options)
    if not options.parts:
        message = "expected the parts of a run: objclass merge t.shard-*.csv --table_filename t.csv"
        raise UsageError(message)
    from objclass.batch.merge import REPORT, SUMMARY, TABLE, merge

    outputs = {
        TABLE: options.table_filename,
        SUMMARY: options.summary_filename,
        REPORT: options.report,
    }
    written = merge(options.parts, outputs, overwrite=options.overwrite)
    log.info("outputs: %s", ", ".join(written))
    return 0
