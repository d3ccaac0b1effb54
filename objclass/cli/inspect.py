"""``objclass inspect``: what is in a project."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from objclass.cli import Parser, printable
from objclass.errors import ObjclassError, Stop, UsageError
from objclass.settings import knob


@dataclass(frozen=True)
class InspectOptions:
    """Options of the command."""

    project: Optional[str] = knob(
        None, "an ilastik project", args=["project"], nargs="?", type=str, metavar="P.ilp"
    )
    json: bool = knob(False, "as JSON")
    debug: bool = knob(False, "show where an error came from")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Print what is in the project to stdout."""
    parser = Parser(InspectOptions, "objclass inspect", "What is in a project, and whether it can be run.")
    options: InspectOptions = parser.parse_args(list(arguments))
    if not options.project:
        message = "inspect needs a project: objclass inspect P.ilp"
        raise UsageError(message)
    from objclass.project.ilp_inspect import inspect_project

    told = inspect_project(options.project)
    told["runnable"], told["why_not"] = _runnable(options.project)
    lines = json.dumps(told, indent=1, ensure_ascii=False).split("\n") if options.json else list(_lines(told))
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return 0


def _runnable(path: str) -> tuple[bool, str]:
    """Whether this objclass can run it, else why not."""
    from objclass.project.open import open_project

    try:
        project = open_project(path)
        project.features()
        if project.forest is None:
            return True, "its classifier is missing: it will be trained again"
    except ObjclassError as fault:
        return False, str(fault)
    return True, ""


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """For people."""
    yield f"project     {told['path']}"
    yield f"workflow    {told['workflow'] or 'not named'} (version {told['ilastik_version'] or '?'})"
    why = f": {told['why_not']}" if told["why_not"] else ""
    yield f"runnable    {'yes' if told['runnable'] else 'no'}{why}"
    for name, write in (
        ("classes", _class_lines),
        ("threshold", _threshold_lines),
        ("features", _feature_lines),
        ("forest", _forest_lines),
        ("lanes", _lane_lines),
        ("export", lambda part: [", ".join(f"{k} {v}" for k, v in part.items())]),
        ("table", lambda part: [f"{part['file_type']} to {part['path']}, {len(part['features'])} features"]),
    ):
        part = told[name]
        if isinstance(part, dict) and "fault" in part:
            yield f"{name:<12}cannot be read: {part['fault']}"
        elif part:
            for number, line in enumerate(write(part)):
                yield f"{name if number == 0 else '':<12}{line}"


def _class_lines(classes: list[dict[str, Any]]) -> Iterator[str]:
    for number, one in enumerate(classes, 1):
        color = f" rgb{tuple(one['color'])}" if one["color"] else ""
        counts = [
            f"{sum(steps.values())} in lane {lane}"
            for lane, steps in one["labels"].items()
            if sum(steps.values())
        ]
        yield f"{number} {one['name']}{color}: {', '.join(counts) or 'no labels'}"


def _threshold_lines(stated: dict[str, Any]) -> Iterator[str]:
    most = "no limit" if stated["max_size"] is None else stated["max_size"]
    x, y, z = stated["sigmas"]
    cut = f"channel {stated['channel']} at least {stated['threshold']:g}"
    if stated["method"] == "graph cut":
        cut += ", by graph cut"
    elif stated["method"] != "simple":
        identity = "identity-preserving, " if stated["method"] == "ipht" else ""
        cut += f", {identity}with a core of channel {stated['core_channel']} at least {stated['core_threshold']:g}"
    yield f"{cut}, smoothed by sigma x={x:g} y={y:g} z={z:g}, {stated['min_size']} to {most} pixels"


def _feature_lines(features: dict[str, Any]) -> Iterator[str]:
    for plugin, names in features["selected"].items():
        yield f"{plugin}: {', '.join(names)}"
    rest = sum(len(names) for names in features["computed"].values())
    if rest:
        margin = features["margin"]
        around = f"; neighbourhood of {' × '.join(map(str, margin))} pixels" if margin else ""
        yield f"{rest} computed{around}"


def _forest_lines(forest: dict[str, int]) -> Iterator[str]:
    yield (
        f"{forest['trees']} trees of at most {forest['depth']} splits, {forest['columns']} columns, "
        f"{forest['classes']} classes"
    )


def _lane_lines(lanes: list[dict[str, Any]]) -> Iterator[str]:
    for number, lane in enumerate(lanes):
        for role, given in lane.items():
            found = "found" if given["found"] else "not found"
            shape = "×".join(map(str, given["shape"]))
            yield f"{number} {role}: {given['path']} {given['axes']} {shape} ({found})"
