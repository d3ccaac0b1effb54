from dataclasses import replace

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from objclass.compute.context import Context
from objclass.errors import UsageError
from objclass.evaluation.selection import FEWEST, OBJECTS, SHOWN, choose_features, column_importances
from objclass.evaluation.settings import EvaluationSettings
from objclass.forest import drawn, grow, tree_seeds
from objclass.settings import ResourceSettings
from tests.evaluation.made import draw, table_of

QUICK = EvaluationSettings(trees=15)

USEFUL = [("first", "ab"), ("first", "ab"), ("second", "c"), ("second", "d")]
"""The features of the columns of `draw`: the last one says nothing, but that it differs between images."""


def noisy(features, width=1, seed=0, images=6, objects=20, distance=1.0):
    """A table with as many useless features besides the useful ones, and the feature of each column."""
    random = np.random.default_rng(seed)
    rows, classes, image = draw(random, images, objects, (0.5, 0.3, 0.2), effect=0.2, distance=distance)
    useless = random.normal(size=(len(rows), features * width)).astype(np.float32)
    keys = [*USEFUL, *(("noise", f"n{k // width}") for k in range(features * width))]
    names, sets = tuple(f"x{k}" for k in range(len(keys))), tuple(name for name, _ in keys)
    return table_of(np.hstack([rows, useless]), classes, image, columns=names, sets=sets), keys


def chosen(table, keys, context=None, **settings):
    return choose_features(table, keys, replace(QUICK, **settings), context or Context())


@pytest.mark.parametrize(("features", "width", "seed"), [(12, 1, 1), (3, 20, 0)])
def test_useless_features_are_dropped(features, width, seed):
    table, keys = noisy(features, width, seed, distance=2)
    found = chosen(table, keys, trees=30)
    assert {("first", "ab"), ("second", "c")} <= set(found.kept)
    assert sum(name == "noise" for name, _ in found.dropped) >= features / 2
    assert sorted([*found.kept, *found.dropped]) == sorted(set(keys))
    assert found.columns == tuple(k for k, key in enumerate(keys) if key in found.kept)
    assert found.sizes[0] == features + 3
    assert found.sizes[-1] == FEWEST
    assert len(found.scores) == len(found.sizes)
    score = found.scores[found.sizes.index(len(found.kept))].value
    assert found.lines[0].startswith(f"{len(found.kept)} of {features + 3} features are kept: ")
    assert f"accuracy {score:.3f}, with all of them {found.scores[0].value:.3f}" in found.lines[0]
    assert f"noise {sum(name == 'noise' for name, _ in found.kept)} of {features}" in found.lines[1]
    assert found.lines[2].startswith(f"dropped: {' '.join(found.dropped[0])}")
    assert len(found.lines[2].split(", ")) == min(len(found.dropped), SHOWN)


def test_features_that_all_say_something_are_kept():
    random = np.random.default_rng(3)
    classes = np.repeat([1, 2], 60)
    rows = (random.normal(size=(120, 8)) + 0.5 * classes[:, None]).astype(np.float32)
    keys = [("set", name) for name in "abcdefgh"]
    table = table_of(
        rows,
        classes,
        np.tile(np.arange(6), 20),
        columns=tuple("abcdefgh"),
        sets=("set",) * 8,
        names=("a", "b"),
    )
    assert chosen(table, keys, trees=50).dropped == ()


def test_the_choice_depends_neither_on_the_order_of_rows_nor_on_threads():
    table, keys = noisy(6)
    mixed = table.take(np.random.default_rng(1).permutation(len(table)))
    assert chosen(mixed, keys, Context.of(ResourceSettings(jobs=3))) == chosen(table, keys)


def test_constant_and_repeated_columns_are_dropped_first():
    table, keys = noisy(4)
    rows = np.hstack([table.rows, table.rows[:, :2], np.ones((len(table), 1), np.float32)])
    more = replace(
        table, rows=rows, columns=(*table.columns, "r", "s", "t"), sets=(*table.sets, *["more"] * 3)
    )
    found = chosen(more, [*keys, ("more", "again"), ("more", "again"), ("more", "one")])
    assert found.dropped[-2:] == (("more", "again"), ("more", "one"))
    assert found.sizes[0] == 7


def test_of_few_objects_everything_is_kept():
    table, keys = noisy(20, images=3, objects=6)
    found = chosen(table, keys)
    assert found.dropped == found.scores == ()
    assert found.columns == tuple(range(len(keys)))
    assert found.lines == [f"all 23 features are kept: {found.reason}"]
    assert "labelled objects" in found.reason


def test_few_features_are_kept():
    table, keys = noisy(1)
    assert chosen(table, keys).reason == "only 4 of them differ"


def test_groups_are_those_of_an_evaluation():
    table, keys = noisy(8)
    with pytest.raises(UsageError, match="well"):
        chosen(table, keys, group_by="well")


def test_a_feature_for_each_column():
    table, keys = noisy(2)
    with pytest.raises(UsageError, match="5 features for 6 columns: expected one for each"):
        chosen(table, keys[:-1])


def test_of_many_objects_some_are_looked_at(monkeypatch):
    table, keys = noisy(4, images=8, objects=40)
    monkeypatch.setattr("objclass.evaluation.selection.OBJECTS", 30)
    seen = []
    monkeypatch.setattr(
        "objclass.evaluation.selection.grow",
        lambda rows, *more, **kw: seen.append(len(rows)) or grow(rows, *more, **kw),
    )
    found = chosen(table, keys)
    assert OBJECTS > len(table) > max(seen) == 90
    assert ("first", "ab") in found.kept


@pytest.mark.parametrize("balanced", [False, True])
def test_the_importance_of_columns_is_that_of_scikit_learn(balanced):
    table, _ = noisy(4)
    forest = grow(table.rows, table.classes, 3, tree_seeds(0, 1), balanced=balanced)
    (seed,) = tree_seeds(0, 1).tolist()
    times = np.bincount(
        drawn(np.random.RandomState(seed), table.classes - 1, balanced=balanced), minlength=len(table)
    )
    model = DecisionTreeClassifier(max_features="sqrt", random_state=seed)
    model.fit(table.rows, table.classes, sample_weight=times.astype(float))
    assert column_importances(forest) == pytest.approx(model.feature_importances_)


def test_a_forest_without_splits_has_no_importances():
    forest = grow(np.ones((4, 3), np.float32), np.array([1, 1, 2, 2]), 2, tree_seeds(0, 3))
    assert column_importances(forest).tolist() == [0, 0, 0]
