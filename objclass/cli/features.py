"""``objclass features``: a list of all features."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from objclass.cli import CommandOptions, Parser
from objclass.errors import Stop
from objclass.settings import knob


@dataclass(frozen=True)
class FeaturesOptions(CommandOptions):
    """Options of the list."""

    json: bool = knob(False, "as JSON")
    debug: bool = knob(False, "show the traceback of an error")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Print the list to stdout."""
    options: FeaturesOptions = Parser(
        FeaturesOptions, "objclass features", "List all features: set, name, unit, dimensions, definition."
    ).parse_args(list(arguments))
    from objclass.features.contract import feature_rows
    from objclass.pixels.features import filter_rows

    rows = [*feature_rows(), *filter_rows()]
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return 0
    for row in rows:
        dims = "/".join(f"{d}D" for d in row["dims"])
        unit = f" [{row['unit']}]" if row["unit"] else ""
        sys.stdout.write(f"{row['set']}:{row['name']}{unit} ({dims}): {row['definition']}\n")
    return 0
