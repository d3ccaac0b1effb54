"""The files of an evaluation: all scores as JSON, and a table of the predictions next to it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from objclass.errors import UsageError
from objclass.evaluation.result import Evaluation
from objclass.export.atomic import Pending, check_output
from objclass.export.columns import Columns
from objclass.export.tables import TableDetails, table_maker

DIGITS = 6
"""Digits after the point of the numbers in the JSON file: they are the same on every processor."""

SCORES = ("balanced_accuracy", "accuracy", "f1", "matthews")


def table_path(path: str) -> str:
    """The table next to the JSON file of an evaluation."""
    return str(Path(path).with_suffix(".csv"))


def check_evaluation(path: str, inputs: Sequence[str], *, overwrite: bool) -> None:
    """Refuse files of an evaluation that cannot be written, before anything is computed.

    Parameters
    ----------
    path
        The JSON file.
    inputs
        Files that are read.
    overwrite
        Whether files may be replaced.

    Raises
    ------
    ObjclassError
        If they cannot be written; the message says why in one line.
    """
    if Path(path).suffix.lower() != ".json":
        message = f"--evaluation {path}: expected a name that ends in .json"
        raise UsageError(message)
    for target in (path, table_path(path)):
        check_output(f"--evaluation {path}: {target}", target, inputs, overwrite=overwrite)


def write_evaluation(evaluation: Evaluation, path: str) -> None:
    """Write the scores as JSON, and the predictions as CSV next to it: both files, or none.

    Raises
    ------
    OSError, OutputError
        If one cannot be written.
    """
    pending = Pending()
    try:
        text = json.dumps(as_json(evaluation), indent=1, allow_nan=False) + "\n"
        Path(pending.add(path)).write_text(text, encoding="utf-8")
        table = table_path(path)
        writer = table_maker(table, TableDetails())(pending.add(table))
        try:
            objects = evaluation.objects
            order = np.lexsort((objects.label, objects.timestep, objects.image))
            columns = prediction_columns(evaluation)
            writer.append({name: values[order] for name, values in columns.items()})
            writer.close()
        except BaseException:
            writer.abort()
            raise
        pending.commit()
    finally:
        pending.discard()


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All but the predictions, as values of JSON; null for what is not known."""
    rounded: dict[str, Any] = _rounded(
        {
            "method": evaluation.method,
            "grouped_by": evaluation.grouped_by,
            "groups": evaluation.groups,
            "folds": evaluation.folds,
            "repeats": evaluation.repeats,
            "seed": evaluation.seed,
            "objects": len(evaluation.objects.given),
            "scores": {name: asdict(getattr(evaluation, name)) for name in SCORES},
            "ungrouped_balanced_accuracy": asdict(evaluation.ungrouped) if evaluation.ungrouped else None,
            "classes": [asdict(one) for one in evaluation.by_class],
            "confusion": evaluation.confusion.tolist(),
            "calibration": asdict(evaluation.calibration),
            "learning_curve": asdict(evaluation.learning_curve) if evaluation.learning_curve else None,
            "importances": [asdict(one) for one in evaluation.importances],
            "images": [
                {"image": name, "objects": objects, "accuracy": accuracy}
                for name, objects, accuracy in evaluation.by_image
            ],
            "cautions": evaluation.cautions,
        }
    )
    return rounded


def prediction_columns(evaluation: Evaluation) -> Columns:
    """A row for each object: its true and predicted class, and the probabilities of all classes."""
    objects = evaluation.objects
    names, images = (np.array(texts, object) for texts in (evaluation.names, evaluation.images))
    return {
        "image": images[objects.image],
        "timestep": objects.timestep,
        "labelimage_oid": objects.label,
        "class": names[objects.given - 1],
        "predicted": names[objects.predicted - 1],
        **{f"p_{name}": objects.probabilities[:, k] for k, name in enumerate(evaluation.names)},
        "fold": objects.fold,
        "correct": evaluation.is_correct,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0 if isfinite(value) else None  # 0.0: no -0.0
    return value
