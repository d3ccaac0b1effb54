"""The forest: vigra's rule, scikit-learn's numbers, and every kind of damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objclass import forest as module
from objclass.errors import ProjectError
from objclass.forest import LEAF, Forest, decode, encode, fit


def by_hand(trees, rows, classes, weighted=False):
    """vigra's prediction, one node at a time, as the specification words it."""
    result = np.zeros((len(rows), classes), np.float32)
    for i, row in enumerate(rows):
        total = 0.0
        for topology, parameters in trees:
            node = 2
            while topology[node] != LEAF:
                below = float(row[topology[node + 4]]) < parameters[topology[node + 1] + 1]
                node = topology[node + (2 if below else 3)]
            at = topology[node + 1]
            for c in range(classes):
                p = parameters[at + 1 + c] * (parameters[at] if weighted else 1)
                result[i, c] += np.float32(p)
                total += p
        result[i] /= np.float32(total)
    return result


def stump(column=0, threshold=1.5, weight=(3.0, 5.0)):
    topology = np.array([2, 2, 0, 0, 7, 9, column, LEAF, 2, LEAF, 5], np.int32)
    parameters = np.array([8.0, threshold, weight[0], 0.25, 0.75, weight[1], 1.0, 0.0])
    return topology, parameters


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(200, 6)).astype(np.float32).round(1)
    labels = 1 + (rows[:, 0] > 0) + (rows[:, 1] + rng.normal(0, 0.3, 200) > 0.5)
    return rows, labels, fit(rows, labels, 4, 20, 0)[0]


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_rule_on_values_equal_to_thresholds(weighted):
    trees = [stump(), stump(1, 0.1, (1.0, 2.0))]
    rows = np.array([[1.5, 0.1], [1.4999999, 0.0], [np.inf, -np.inf], [2, 0.2]], np.float32)
    found = decode(trees, 2, 2, weighted=weighted).predict(rows).probabilities
    assert np.array_equal(found, by_hand(trees, rows, 2, weighted))


def test_a_row_with_nan_gets_zeros():
    found = decode([stump()], 2, 2).predict(np.array([[np.nan, 0], [1, 0]], np.float32)).probabilities
    assert np.array_equal(found, [[0, 0], [0.25, 0.75]])


def test_few_and_many_rows_walk_the_same_way(trained, monkeypatch):
    rows, _, forest = trained
    few = forest.predict(rows).probabilities
    monkeypatch.setattr(module, "FEW_ROWS", 0)
    assert np.array_equal(forest.predict(rows).probabilities, few)
    assert np.array_equal(by_hand(encode(forest), rows, 4), few)


def test_equals_scikit_learn_also_on_its_own_thresholds(trained):
    from sklearn.ensemble import RandomForestClassifier

    rows, labels, forest = trained
    model = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    cuts = np.unique(np.concatenate([e.tree_.threshold for e in model.estimators_])).astype(np.float32)
    asked = np.repeat(cuts[:, None], 6, axis=1)
    for given_rows in (rows, asked):
        ours = forest.predict(given_rows).probabilities
        assert np.array_equal(ours[:, 3], np.zeros(len(ours)))  # class 4 has no label
        # both add 20 float fractions; scikit-learn in float64
        np.testing.assert_allclose(ours[:, :3], model.predict_proba(given_rows), atol=2e-7)


def test_layout_round_trip(trained):
    rows, _, forest = trained
    again = decode(encode(forest), forest.columns, forest.classes)
    assert np.array_equal(again.predict(rows).probabilities, forest.predict(rows).probabilities)
    assert again.depth == forest.depth


def test_training_ignores_nothing_but_the_seed(trained):
    rows, labels, forest = trained
    same, other = fit(rows, labels, 4, 20, 0)[0], fit(rows, labels, 4, 20, 1)[0]
    assert np.array_equal(forest.threshold, same.threshold)
    assert not np.array_equal(forest.threshold[:50], other.threshold[:50])


def test_out_of_bag_accuracy_is_that_of_scikit_learn(trained):
    from sklearn.ensemble import RandomForestClassifier

    rows, labels, _ = trained
    model = RandomForestClassifier(60, random_state=3, oob_score=True).fit(rows, labels)
    assert fit(rows, labels, 3, 60, 3)[1] == pytest.approx(model.oob_score_, abs=0.011)  # ties of votes


def damage(index, value, part=0):
    tree = [a.copy() for a in stump()]
    tree[part][index] = value
    return tuple(tree)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (damage(4, 2), "a circle"),
        (damage(4, 9), "a circle"),
        (damage(4, 99), "outside its tree"),
        (damage(5, -3), "outside its tree"),
        (damage(5, 10), "neither split nor leaf"),
        (damage(6, 2), "column outside"),
        (damage(6, -1), "column outside"),
        (damage(3, 1000), "parameters past the end"),
        (damage(8, 6), "parameters past the end"),
        (damage(3, -1), "parameters past the end"),
        (damage(2, 1), "neither split nor leaf"),
        (damage(0, 3), "other than 2 columns"),
        (damage(1, 3), "other than 2 classes"),
        ((np.array([2, 2]), np.zeros(0)), "without nodes"),
        ((np.array([2, 2, 0, 0]), np.zeros(3)), "past the end"),
    ],
)
def test_damage_is_told(tree, told):
    with pytest.raises(ProjectError, match=told):
        decode([stump(), tree], 2, 2)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-2, 12) | st.just(LEAF), min_size=0, max_size=20),
    st.lists(st.floats(allow_nan=True), max_size=12),
)
def test_any_arrays_are_a_forest_or_refused(topology, parameters):
    """No crash and no endless loop, whatever a file holds."""
    arrays = np.array([2, 2, *topology], np.int64), np.array(parameters, np.float64)
    try:
        forest = decode([arrays], 2, 2)
    except ProjectError:
        return
    assert isinstance(forest, Forest)
    with np.errstate(all="ignore"):
        forest.predict(np.zeros((2, 2), np.float32))


def test_wrong_number_of_columns_is_told(trained):
    with pytest.raises(ProjectError, match="5 feature columns: the forest was trained on 6"):
        trained[2].predict(np.zeros((1, 5), np.float32))
