"""The forest: vigra's rule, scikit-learn's numbers, and every kind of damage."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass import forest as module
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.descent import descents
from objclass.errors import ProjectError, Stop, TerminatedError
from objclass.forest import LEAF, Forest, decode, drawn, encode, fit, tree_seeds
from tests.conftest import examples


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


WAYS = ("level by level", "node by node", "plain kernel", "compiled")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each of the ways in which rows go down, whatever their number."""
    kernels = {"plain kernel": descents.entry, "compiled": descents.compiled}
    monkeypatch.setattr(descents, "choose", lambda _: kernels.get(request.param))
    monkeypatch.setattr(module, "FEW", 0 if request.param == "node by node" else 10**9)
    return request.param


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_all_ways_are_one(trained, way, count, weighted):
    rows, _, forest = trained
    forest = decode(encode(forest), 6, 4, weighted=weighted)
    found = forest.predict(rows[:count]).probabilities
    assert np.array_equal(by_hand(encode(forest), rows[:count], 4, weighted), found)


def test_all_ways_agree_next_to_thresholds(way):
    """float32 rows are compared with float64 thresholds: also where those are no float32."""
    cuts = [0.1, -0.1, 1e-300, -1e-300, 0.0, -0.0, 1e300, -1e300, 3.4028235e38, np.inf, -np.inf, 1 / 3]
    cuts += list(np.float32([0.1, 1 / 3, 1e-45]).astype(float))
    near = np.array([*cuts, 0], float).clip(-3.4e38, 3.4e38).astype(np.float32)
    values = np.concatenate([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, -near - 1)])
    values = np.concatenate([values, np.float32([np.inf, -np.inf, 3.4028235e38, -3.4028235e38, np.nan])])
    rows = np.column_stack([values, values[::-1]])
    for cut in cuts:
        found = decode([stump(0, cut), stump(1, -cut)], 2, 2).predict(rows).probabilities
        expected = by_hand([stump(0, cut), stump(1, -cut)], rows, 2)
        expected[np.isnan(rows).any(axis=1)] = 0
        assert np.array_equal(found, expected)


def test_nothing_is_below_a_threshold_that_is_no_number(way):
    found = decode([stump(0, np.nan)], 2, 2).predict(np.float32([[-np.inf, 0], [1, 0]] * 9)).probabilities
    assert np.array_equal(found, [[1, 0]] * 18)


def test_threads_change_nothing(trained, monkeypatch):
    _, _, forest = trained
    rows = np.random.default_rng(0).normal(size=(1501, forest.columns)).astype(np.float32)  # 12 blocks
    expected = forest.predict(rows).probabilities
    monkeypatch.setattr(descents, "choose", lambda _: descents.compiled)
    for jobs in (1, 2, 3, 10, 50):
        assert np.array_equal(forest.predict(rows, Context(Limits(jobs=jobs))).probabilities, expected)


@given(st.integers(0, 99), st.integers(1, 300), st.integers(2, 40))
@examples(6)
def test_compiled_descents_are_those_of_numpy(seed, count, height):
    """Trees of any form: chains as deep as the splits near the root and deeper, values equal to cuts, NaN, infinities."""
    rng = np.random.default_rng(seed)
    trees = [grown(rng, height) for _ in range(5)]
    forest = decode(trees, 3, 2)
    values = np.float32([0, -0.0, 1, -1, 0.5, 2, 1e-45, -1e-45, np.inf, -np.inf, np.nan])
    rows = rng.choice(values, (count, 3), p=[*[0.098] * 10, 0.02])
    expected = divided(forest._count(rows))
    known = ~np.isnan(rows).any(axis=1)
    for given_rows in (rows, np.asfortranarray(rows)):
        votes = descended(forest, given_rows, (1, 1, count))
        assert np.array_equal(votes[known], expected[known])


@given(
    st.integers(0, 99),
    st.tuples(st.integers(1, 9), st.integers(1, 19), st.integers(1, 40)),
    st.sampled_from([0.0, 0.05, 1.0, 30.0]),
)
@examples(10)
def test_pixels_go_down_with_their_neighbours(seed, extents, noise):
    """Images from flat, where blocks send all their pixels the same way, to noise; of any extents."""
    rng = np.random.default_rng(seed)
    forest = decode([grown(rng, int(rng.integers(1, 60))) for _ in range(6)], 3, 2)
    slopes = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in extents), indexing="ij"), axis=-1)
    rows = (slopes.reshape(-1, 3) + noise * rng.normal(size=(np.prod(extents), 3))).astype(np.float32)
    assert np.array_equal(descended(forest, rows, extents), divided(forest._count(rows)))


def descended(forest, rows, extents):
    return divided(forest._descend(descents.compiled, forest._layout, rows, Context(), extents))


def divided(counted):
    votes, total = counted
    return votes / total[:, None]


def grown(rng, height):
    """A tree of so many splits, of which each hangs at any leaf of the others."""
    cuts = [0.0, -0.0, 1.0, -1.0, 0.3, 1e-300, np.inf, -np.inf]
    child, leaves = {}, [0]
    for number in range(height):
        at = leaves.pop(int(rng.integers(max(len(leaves) - 2, 0), len(leaves))))  # deep ones
        child[at] = 2 * number + 1, 2 * number + 2
        leaves += child[at]
    topology, parameters, place = [3, 2], [], {}
    for node in range(2 * height + 1):
        place[node] = len(topology)
        topology += [0, 0, 0, 0, 0] if node in child else [LEAF, 0]
    for node, at in place.items():
        topology[at + 1] = len(parameters)
        if node in child:
            topology[at + 2 : at + 5] = *(place[c] for c in child[node]), int(rng.integers(3))
            parameters += [float(rng.integers(50)), float(rng.choice(cuts))]
        else:
            parameters += [1.0, *rng.random(2)]
    return np.array(topology, np.int32), np.array(parameters)


def test_a_forest_that_is_too_large_to_pack_goes_down_uncompiled(trained, monkeypatch):
    rows, _, forest = trained
    expected = forest.predict(rows).probabilities
    monkeypatch.setattr(descents, "choose", lambda _: descents.compiled)
    monkeypatch.setattr("objclass.descent.NODES", 100)
    again = decode(encode(forest), 6, 4)
    assert again._layout is None
    assert np.array_equal(again.predict(rows).probabilities, expected)


def test_rows_in_any_layout(trained, way):
    rows, _, forest = trained
    expected = forest.predict(rows).probabilities
    assert np.array_equal(forest.predict(np.asfortranarray(rows)).probabilities, expected)
    assert np.array_equal(forest.predict(np.repeat(rows, 2, axis=0)[::2]).probabilities, expected)


def test_few_rows_do_not_load_numba():
    asked = """
import sys
import numpy as np
from objclass.forest import LEAF, decode
tree = np.array([1, 2, LEAF, 0]), np.array([1.0, 0.25, 0.75])
decode([tree] * 100, 1, 2).predict(np.zeros((2000, 1), np.float32))
sys.exit("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0


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


def test_trees_are_those_of_scikit_learns_forest(trained):
    from sklearn.ensemble import RandomForestClassifier

    rows, labels, forest = trained
    model = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    ends = [*forest.roots[1:], len(forest.column)]
    for root, end, tree in zip(forest.roots, ends, model.estimators_, strict=True):
        is_split = tree.tree_.children_left >= 0
        above = np.nextafter(tree.tree_.threshold[is_split], np.inf)
        assert np.array_equal(forest.threshold[root:end][is_split], above)
        assert np.array_equal(forest.column[root:end][is_split], tree.tree_.feature[is_split])


@pytest.mark.parametrize("jobs", [1, 2])
def test_balanced_classes_count_the_same(rng, jobs):
    rows = rng.normal(size=(400, 6)).astype(np.float32)
    labels = 1 + (rows[:, 0] + rng.normal(0, 1, 400) > 2).astype(int)  # one in ten
    plain = fit(rows, labels, 2, 30, 5)[0]
    before = list(warnings.filters)
    forest, _ = fit(rows, labels, 2, 30, 5, balanced=True, context=Context(Limits(jobs=jobs)))
    assert warnings.filters == before  # threads leave them alone
    ours = forest.predict(rows).probabilities
    assert np.array_equal(ours, fit(rows, labels, 2, 30, 5, balanced=True)[0].predict(rows).probabilities)
    stored = decode(encode(forest), 6, 2).predict(rows).probabilities
    assert np.array_equal(stored, ours)
    assert not np.array_equal(ours, plain.predict(rows).probabilities)
    fresh = rng.normal(size=(4000, 6)).astype(np.float32)
    rare = fresh[:, 0] > 1.5
    recall = [(f.predict(fresh[rare]).classes == 2).mean() for f in (plain, forest)]
    assert recall[1] > recall[0]


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


@pytest.mark.parametrize("balanced", [False, True])
def test_out_of_bag_accuracy_is_of_the_trees_that_have_not_seen_a_row(trained, balanced):
    rows, labels, _ = trained
    forest, accuracy = fit(rows, labels, 3, 15, 4, balanced=balanced, context=Context(Limits(jobs=2)))
    votes = np.zeros((len(rows), 3))
    for seed, tree in zip(tree_seeds(4, 15).tolist(), encode(forest), strict=True):
        seen = drawn(np.random.RandomState(seed), labels - 1, balanced=balanced)
        unseen = np.setdiff1d(np.arange(len(rows)), seen)
        votes[unseen] += decode([tree], 6, 3).predict(rows[unseen]).probabilities
    known = votes.any(axis=1)
    assert accuracy == (votes.argmax(axis=1) + 1 == labels)[known].mean()


def test_without_rows_out_of_the_bag_there_is_no_accuracy():
    forest, accuracy = fit(np.ones((1, 2), np.float32), np.array([2]), 2, 3, 0)
    assert np.isnan(accuracy)
    assert forest.predict(np.ones((1, 2), np.float32)).probabilities.tolist() == [[0, 1]]


def test_a_training_draws_the_rows_of_each_tree_once_and_ends_between_two_trees(trained, monkeypatch):
    rows, labels, _ = trained
    stop, trees = Stop(), []

    def counted(*given, **settings):
        trees.append(given)
        if len(trees) == 25:
            stop.ask()
        return drawn(*given, **settings)

    monkeypatch.setattr(module, "drawn", counted)
    fit(rows, labels, 3, 20, 0, context=Context(stop=stop))
    assert len(trees) == 20
    with pytest.raises(TerminatedError):
        fit(rows, labels, 3, 20, 0, context=Context(stop=stop))
    assert len(trees) == 25


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


@examples(50)
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
