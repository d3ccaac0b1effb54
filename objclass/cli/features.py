"""``objclass features``: every feature that there is."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from objclass.cli import Parser
from objclass.errors import Stop
from objclass.settings import knob


@dataclass(frozen=True)
class FeaturesOptions:
    """Options of the list."""

    json: bool = knob(False, "as JSON")
    debug: bool = knob(False, "show where an error came from")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Print the list to stdout."""
    options: FeaturesOptions = Parser(
        FeaturesOptions, "objclass features", "Every feature: set, name, unit, dimensions, definition."
    ).parse_args(list(arguments))
    rows = feature_rows()
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
        return 0
    for row in rows:
        dims = "/".join(f"{d}D" for d in row["dims"])
        unit = f" [{row['unit']}]" if row["unit"] else ""
        sys.stdout.write(f"{row['set']}:{row['name']}{unit} ({dims}): {row['definition']}\n")
    return 0


def feature_rows() -> list[dict[str, Any]]:
    """Set, name, column title, unit, dimensions and definition of every feature."""
    from objclass.features.contract import feature_set
    from objclass.registry import feature_sets

    return [
        {
            "set": feature.set_name,
            "name": feature.name,
            "column": feature.title,
            "unit": feature.unit,
            "dims": list(feature.dims),
            "channels": feature.channels,
            "definition": " ".join(feature.definition.split()),
        }
        for name in feature_sets()
        for feature in (feature_set(name) or {}).values()
    ]
