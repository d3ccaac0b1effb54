import csv
import json
import math
import os

import numpy as np
import pytest

from objclass.compute.context import Context
from objclass.errors import OutputError, UsageError
from objclass.evaluation.cross_validation import evaluate
from objclass.evaluation.settings import EvaluationSettings
from objclass.evaluation.summary import summary_lines
from objclass.evaluation.writing import as_json, check_evaluation, write_evaluation
from tests.evaluation.made import made

HOSTILE = ("=HYPERLINK(1)", 'a, "b"', "two\nlines")


@pytest.fixture(scope="module")
def found():
    settings = EvaluationSettings(trees=5, learning_curve=True, importances=True)
    return evaluate(made(names=HOSTILE), settings, Context())


def test_files_hold_what_was_found(found, tmp_path):
    path = tmp_path / "judged.json"
    write_evaluation(found, str(path))
    assert sorted(os.listdir(tmp_path)) == ["judged.csv", "judged.json"]
    scores = json.loads(path.read_text(encoding="utf-8"))
    assert scores["scores"]["balanced_accuracy"]["value"] == round(found.balanced_accuracy.value, 6)
    assert [one["name"] for one in scores["classes"]] == list(HOSTILE)
    assert scores["cautions"] == list(found.cautions)
    with open(tmp_path / "judged.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "image", "timestep", "labelimage_oid", "class", "predicted", *(f"p_{name}" for name in HOSTILE), "fold", "correct",
    ]  # fmt: skip
    assert len(rows) == len(found.objects.given)
    assert np.mean([row["correct"] == "true" for row in rows]) == pytest.approx(found.accuracy.value)
    assert {row["class"] for row in rows} == set(HOSTILE)


def test_numbers_that_are_not_known_are_null(found):
    def values(part):
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        return [part] if not parts else [value for one in parts for value in values(one)]

    every = values(as_json(found))
    assert None in every  # empty bins of the calibration
    assert all(
        round(value, 6) == value and not math.isnan(value) for value in every if isinstance(value, float)
    )


def test_names_are_not_lines_of_their_own(found):
    assert all("\n" not in line for line in summary_lines(found) if not line.startswith("most frequent"))


@pytest.mark.parametrize("exists", ["judged.json", "judged.csv"])
def test_files_are_not_replaced_unasked(tmp_path, exists):
    (tmp_path / exists).touch()
    path = str(tmp_path / "judged.json")
    with pytest.raises(OutputError, match=f"{exists} exists already: --overwrite replaces it"):
        check_evaluation(path, [], overwrite=False)
    check_evaluation(path, [], overwrite=True)
    with pytest.raises(OutputError, match="would overwrite an input"):
        check_evaluation(path, [str(tmp_path / exists)], overwrite=True)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"expected a name that ends in \.json"):
        check_evaluation(str(tmp_path / "judged.csv"), [], overwrite=False)


def test_a_table_that_fails_leaves_nothing(found, tmp_path, monkeypatch):
    from objclass.export.tables.text import CsvWriter

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CsvWriter, "append", fail)
    with pytest.raises(OSError, match="No space"):
        write_evaluation(found, str(tmp_path / "judged.json"))
    assert os.listdir(tmp_path) == []
