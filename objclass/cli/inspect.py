"""``objclass inspect``: the contents of a project."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import expanduser as expand_home
from typing import Any, Optional

from objclass.cli import CommandOptions, Parser
from objclass.cli.messages import printable
from objclass.errors import ObjclassError, Stop, UsageError, listed
from objclass.settings import ROLES, knob

LISTED = 6
"""Number of lanes, and of features of a set, that are listed without --verbose."""


@dataclass(frozen=True)
class InspectOptions(CommandOptions):
    """Options of the command."""

    project: Optional[str] = knob(
        None, "an ilastik project", args=["project"], nargs="?", type=expand_home, metavar="P.ilp"
    )
    verbose: bool = knob(False, "list every lane, file and feature")
    json: bool = knob(False, "as JSON")
    debug: bool = knob(False, "show the traceback of an error")


def main(arguments: Sequence[str], _: Stop) -> int:
    """Print the contents of the project to stdout."""
    parser = Parser(
        InspectOptions, "objclass inspect", "Print the contents of a project, and whether it can be run."
    )
    options: InspectOptions = parser.parse_args(list(arguments))
    if not options.project:
        message = "inspect needs a project: objclass inspect P.ilp"
        raise UsageError(message)
    from objclass.project.ilp_inspect import inspect_project

    contents = inspect_project(options.project)
    contents["runnable"], contents["why_not"] = _runnable(options.project)
    if options.json:
        lines = json.dumps(contents, indent=1, ensure_ascii=False).split("\n")
    else:
        lines = list(_lines(contents, sys.maxsize if options.verbose else LISTED))
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return 0


def _runnable(path: str) -> tuple[bool, str]:
    """Whether a run would accept the project, and a remark or the reason why not."""
    from objclass.project.ilp_pixels import read_pixel_part
    from objclass.project.model import Project
    from objclass.project.open import open_any
    from objclass.project.pixel_model import PixelProject
    from objclass.training.pixels import check_retrainable_pixels
    from objclass.training.retrain import check_retrainable

    try:
        project = open_any(path)
        pixels = project if isinstance(project, PixelProject) else None
        if isinstance(project, Project) and project.classifies_pixels and project.pixels is None:
            pixels = read_pixel_part(path)
        contents = ""
        if pixels is not None and not pixels.is_trained:
            check_retrainable_pixels(pixels)
            contents = "its pixel classifier is missing: it will be trained again"
        if isinstance(project, PixelProject):
            return True, contents
        project.features()
        if project.forest is None:
            check_retrainable(project)
            return True, "its classifier is missing: it will be trained again"
        project.check_trained_lanes()
    except ObjclassError as fault:
        return False, str(fault)
    return True, contents


def _lines(contents: dict[str, Any], maximum: int) -> Iterator[str]:
    """The contents as lines of text."""
    yield f"project     {contents['path']}"
    yield f"workflow    {contents['workflow'] or 'not named'} (version {contents['ilastik_version'] or '?'})"
    why = f": {contents['why_not']}" if contents["why_not"] else ""
    yield f"runnable    {'yes' if contents['runnable'] else 'no'}{why}"
    for name, write in (
        ("classes", _class_lines),
        ("pixels", _pixel_lines),
        ("threshold", _threshold_lines),
        ("features", _feature_lines),
        ("forest", _forest_lines),
        ("lanes", _lane_lines),
        ("training", _training_lines),
        ("export", lambda part, _: [", ".join(f"{k} {v}" for k, v in part.items())]),
        (
            "table",
            lambda part, _: [f"{part['file_type']} to {part['path']}, {len(part['features'])} features"],
        ),
    ):
        part = contents[name]
        if isinstance(part, dict) and "fault" in part:
            yield f"{name:<12}cannot be read: {part['fault']}"
        elif part:
            for number, line in enumerate(write(part, maximum)):
                yield f"{name if number == 0 else '':<12}{line}"


def _pixel_lines(stages: list[dict[str, Any]], _: int) -> Iterator[str]:
    for number, stage in enumerate(stages, 1):
        of = f" of stage {number}" if len(stages) > 1 else ""
        forest = f"{stage['trees']} trees, {stage['columns']} channels" if stage["trees"] else "not trained"
        yield f"classes{of}: {', '.join(stage['classes'])} ({forest})"
        for name, scales in stage["filters"].items():
            yield f"{name}: sigma {', '.join(scales)}"


def _class_lines(classes: list[dict[str, Any]], maximum: int) -> Iterator[str]:
    for number, one in enumerate(classes, 1):
        color = f" rgb{tuple(one['color'])}" if one["color"] else ""
        labels = {lane: sum(steps.values()) for lane, steps in one["labels"].items()}
        counts_of_labels = [
            _counts({lane: n for lane, n in counts.items() if n}, what, maximum)
            for counts, what in ((labels, ""), (one["strokes"], " painted pixels"))
            if sum(counts.values())
        ]
        yield f"{number} {one['name']}{color}: {', '.join(counts_of_labels) or 'no labels'}"


def _counts(counts: dict[int, int], what: str, maximum: int) -> str:
    """The count in each lane, or the total where there are more than ``maximum`` lanes."""
    if len(counts) > maximum:
        return f"{sum(counts.values())}{what} in {len(counts)} lanes"
    return ", ".join(f"{n}{what} in lane {lane}" for lane, n in counts.items())


def _threshold_lines(threshold: dict[str, Any], _: int) -> Iterator[str]:
    largest = "no limit" if threshold["max_size"] is None else threshold["max_size"]
    x, y, z = threshold["sigmas"]
    cut = f"channel {threshold['channel']} at least {threshold['threshold']:g}"
    if threshold["method"] == "graph cut":
        cut += ", by graph cut"
    elif threshold["method"] != "simple":
        identity = "identity-preserving, " if threshold["method"] == "ipht" else ""
        cut += f", {identity}with a core of channel {threshold['core_channel']} at least {threshold['core_threshold']:g}"
    yield f"{cut}, smoothed by sigma x={x:g} y={y:g} z={z:g}, {threshold['min_size']} to {largest} pixels"


def _feature_lines(features: dict[str, Any], maximum: int) -> Iterator[str]:
    for plugin, names in features["selected"].items():
        yield f"{plugin}: {listed(names, maximum)}"
    rest = sum(len(names) for names in features["computed"].values())
    if rest:
        margin = features["margin"]
        around = f"; neighbourhood of {' × '.join(map(str, margin))} pixels" if margin else ""
        yield f"{rest} computed{around}"


def _forest_lines(forest: dict[str, int], _: int) -> Iterator[str]:
    yield (
        f"{forest['trees']} trees of at maximum {forest['depth']} splits, {forest['columns']} columns, "
        f"{forest['classes']} classes"
    )


def _training_lines(training: dict[str, Any], maximum: int) -> Iterator[str]:
    facts = training["facts"]
    settings = [
        f"{name.replace('_', ' ')} {f'{value:.3f}' if isinstance(value := facts[name], float) else value}"
        for name in ("trees", "seed", "class_weight", "out_of_bag_accuracy")
        if facts.get(name) is not None
    ]
    yield f"by objclass {facts.get('version', '?')}: {', '.join(settings)}"
    yield from _choice_lines(facts.get("feature_choice"))
    yield from _score_lines(facts.get("evaluation"))
    if "novelty" in training:
        model = training["novelty"]
        yield (
            f"novelty 1 is a distance of {model['threshold']:.3g} to {model['references']} training objects in "
            f"{model['columns']} columns"
        )
    if "objects" in training:
        yield f"{training['objects']} objects, predictions {training['predictions']}"
        if training["outdated"]:
            yield f"not used: {training['outdated']}"
        shown = list(training["labels"].items())[:maximum]
        for number, (image, counts) in enumerate(shown):
            yield f"{image}: {', '.join(f'{name} {n}' for name, n in counts.items() if n) or 'no labels'}"
            yield from _digest_lines(facts.get("inputs"), number)
        if len(training["labels"]) > len(shown):
            yield f"and {len(training['labels']) - len(shown)} more images (--verbose lists them)"


def _choice_lines(choice: Any) -> Iterator[str]:
    """How features were chosen, as far as it is what a training stores."""
    sets = choice.get("sets") if isinstance(choice, dict) else None
    counts = {
        str(name): (one["kept"], one["kept"] + one["dropped"])
        for name, one in (sets.items() if isinstance(sets, dict) else ())
        if isinstance(one, dict) and all(type(one.get(part)) is int for part in ("kept", "dropped"))
    }
    if not counts:
        return
    scores = [choice.get(name) for name in ("balanced_accuracy", "balanced_accuracy_of_all")]
    has_scores = all(isinstance(score, float) for score in scores)
    why = f": balanced accuracy {scores[0]:.3f}, with all {scores[1]:.3f}" if has_scores else ""
    kept, total = (sum(part) for part in zip(*counts.values(), strict=True))
    parts = listed([f"{name} {some} of {count}" for name, (some, count) in counts.items()], LISTED)
    yield f"{kept} of {total} features were chosen{why} ({parts})"


def _score_lines(evaluation: Any) -> Iterator[str]:
    """The scores of a cross-validation, as far as they are what a training stores."""
    scores = evaluation.get("scores") if isinstance(evaluation, dict) else None
    parts = [
        f"{name.replace('_', ' ')} {score['value']:.2f}"
        for name, score in (scores.items() if isinstance(scores, dict) else ())
        if isinstance(score, dict) and isinstance(score.get("value"), float)
    ]
    if parts:
        yield f"cross-validated: {', '.join(parts)}"


def _digest_lines(inputs: Any, number: int) -> Iterator[str]:
    """Digests of the images of a lane, as far as they are what a training stores."""
    given = inputs[number] if isinstance(inputs, list) and number < len(inputs) else None
    if isinstance(given, dict):
        for role in ROLES:
            if role in given:
                yield f"  {role} sha256 {given[role]}"


def _lane_lines(lanes: list[dict[str, Any]], maximum: int) -> Iterator[str]:
    shown = lanes[:maximum]
    for number, lane in enumerate(shown):
        for role, given in lane.items():
            found = "found" if given["found"] else "not found"
            shape = "×".join(map(str, given["shape"]))
            first, *more = given["path"].split(os.pathsep)
            path = given["path"] if len(more) < maximum else f"{first} and {len(more)} more files"
            yield f"{number} {role}: {path} {given['axes']} {shape} ({found})"
    rest = [given for lane in lanes[len(shown) :] for given in lane.values()]
    if rest:
        lost = sum(not given["found"] for given in rest)
        yield f"and {len(lanes) - len(shown)} more lanes, {lost} of their {len(rest)} images are not found (--verbose lists them)"
