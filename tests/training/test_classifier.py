"""`Classifier` among the estimators of scikit-learn."""

import warnings
from inspect import signature

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import objclass

NOT_OURS = {
    "check_fit_score_takes_y": "the second argument is called classes",
    "check_dtype_object": "expects the words of float()",
    "check_estimators_empty_data_messages": "expects other words",
    "check_supervised_y_2d": "expects a warning about a column of classes",
    "check_class_weight_classifiers": "weights are balanced or none",
}
"""Checks of scikit-learn that fail on purpose, and why."""


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b"], 40)
    return rng.normal(size=(80, 4)) + (classes == "b")[:, None] * 2, classes


def test_scikit_learns_own_checks_pass():
    if "on_fail" not in signature(estimator_checks.check_estimator).parameters:
        pytest.skip("scikit-learn before 1.6 stops at the first failure")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # about checks that are skipped
        results = estimator_checks.check_estimator(objclass.Classifier(trees=5), on_fail=None)
    failed = {found["check_name"]: found["exception"] for found in results if found["status"] == "failed"}
    assert {name: fault for name, fault in failed.items() if name not in NOT_OURS} == {}
    assert len(results) > 40


def test_it_works_in_pipelines_and_searches(data):
    rows, classes = data
    scores = cross_val_score(make_pipeline(StandardScaler(), objclass.Classifier(trees=10)), rows, classes)
    assert scores.mean() > 0.9
    search = GridSearchCV(objclass.Classifier(), {"trees": [3, 5], "class_weight": [None, "balanced"]}, cv=2)
    assert search.fit(rows, classes).best_params_["trees"] in (3, 5)


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_a_classifier_that_is_not_trained_says_so(method, data):
    with pytest.raises(NotFittedError, match="not fitted"):
        getattr(objclass.Classifier(), method)(data[0])


def test_a_classifier_that_is_not_trained_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted"):
        objclass.Classifier().save(tmp_path / "x.ilp")


def test_arrays_of_another_width_are_refused(data):
    trained = objclass.Classifier(trees=3).fit(*data)
    with pytest.raises(ValueError, match="5 features.*expecting 4"):
        trained.predict(np.zeros((2, 5)))


def test_numbers_in_python_objects_are_numbers(data):
    rows, classes = data
    plain = objclass.Classifier(trees=3).fit(rows, classes).predict_proba(rows)
    boxed = objclass.Classifier(trees=3).fit(rows.astype(object), classes).predict_proba(rows)
    assert np.array_equal(plain, boxed)


@pytest.mark.parametrize(
    ("rows", "classes", "words"),
    [
        (np.zeros((2, 1), complex), ["a", "b"], "Complex"),
        (np.zeros((2, 1)), None, "y is None"),
        (np.zeros((3, 1)), [0.1, 0.2, 0.5], "continuous"),
        (np.array([["x"], [{}]], object), ["a", "b"], "expected numbers"),
    ],
)
def test_what_is_no_data_is_refused(rows, classes, words):
    with pytest.raises(objclass.ObjclassError, match=words):
        objclass.Classifier(trees=3).fit(rows, classes)


def test_a_column_of_classes_is_taken(data):
    rows, classes = data
    frame = pd.DataFrame(rows)
    found = objclass.Classifier(trees=3).fit(frame, classes[:, None]).predict(frame)
    assert (found == classes).mean() > 0.9
