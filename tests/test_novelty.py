"""Novelty: the formulations agree, new objects like those of the training are not novel, shifted ones are."""

import numpy as np
import pytest

from objclass import novelty
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.novelty import (
    MAXIMUM_REFERENCES,
    QUANTILE,
    Shape,
    find_nearest,
    model_of,
    nearness,
    novelty_within,
)

SPLITS = np.array([5, 0, 9, 1, 3, 0, 0, 2, 2, 2, 1, 1])


def objects(rng, images, each=20):
    """Objects of images that differ a little; their classes and images."""
    image = np.repeat(np.arange(images), each)
    classes = rng.integers(1, 4, len(image))
    base = rng.normal(0, 0.3, (images, 12))[image] + rng.normal(size=(len(image), 12))
    return (100 + 3 * classes[:, None] + base).astype(np.float32), classes, image


@pytest.fixture
def model(rng):
    return model_of(*objects(rng, 12), SPLITS)


def nearest_by_hand(model, rows):
    gaps = (rows[:, None, model.columns] * model.factor - model.references * model.factor) ** 2
    return np.sqrt(gaps.sum(axis=2).min(axis=1)) / model.threshold


def test_objects_of_new_images_are_rarely_novel(model, rng):
    for _ in range(5):
        assert (model.score(objects(rng, 20)[0]) > 1).mean() < 0.05


def test_shifted_objects_are_novel(model, rng):
    rows, *_ = objects(rng, 20)
    assert (model.score(rows * np.float32(1.5)) > 1).all()
    assert (model.score(-rows) > 1).all()
    shifted = rows.copy()
    shifted[:, np.flatnonzero(SPLITS == 0)] *= 100
    assert np.array_equal(model.score(shifted), model.score(rows))  # no tree looks at these


def test_the_score_is_the_distance_to_the_nearest_object(model, rng):
    rows, *_ = objects(rng, 9)
    np.testing.assert_allclose(model.score(rows), nearest_by_hand(model, rows), rtol=1e-6)
    assert not model.score(_rows_of(model)).any()
    away = [model.score(rows + np.float32(step)) for step in (20, 40, 80)]
    assert (away[0] < away[1]).all()
    assert (away[1] < away[2]).all()


def _rows_of(model):
    rows = np.zeros((len(model.references), len(SPLITS)), np.float32)
    rows[:, model.columns] = model.references
    return rows


def test_the_threshold_is_what_most_objects_keep_to_those_of_other_images(rng):
    rows, classes, image = objects(rng, 12)
    model = model_of(rows, classes, image, SPLITS)
    scaled = rows[:, model.columns] * model.factor
    apart = np.sqrt(((scaled[:, None] - scaled) ** 2).sum(axis=2))
    apart[image[:, None] == image] = np.inf
    below = (apart.min(axis=1) <= model.threshold * (1 + 1e-12)).mean()
    assert QUANTILE <= below < QUANTILE + 0.01


def test_training_objects_are_novel_among_those_of_other_images(rng):
    rows, classes, image = objects(rng, 12)
    rows[7] += 30
    scores = novelty_within(rows, classes, image, SPLITS)
    assert scores.argmax() == 7
    assert scores[7] > 1
    assert (scores > 1).mean() <= 1 - QUANTILE
    others = image != image[7]
    model = model_of(rows[others], classes[others], image[others], SPLITS)
    assert model.score(rows[7:8])[0] > 1
    assert (
        novelty_within(np.ones((4, 12), np.float32), np.ones(4, int), np.arange(4), SPLITS).tolist()
        == [0.0] * 4
    )


def test_the_order_of_the_objects_changes_nothing(rng):
    rows, classes, image = objects(rng, 12)
    order = rng.permutation(len(rows))
    one, other = (
        model_of(rows, classes, image, SPLITS),
        model_of(rows[order], classes[order], image[order], SPLITS),
    )
    new = objects(rng, 3)[0]
    assert np.array_equal(one.score(new), other.score(new))


@pytest.mark.parametrize(("columns", "count"), [(1, 1), (8, 64), (13, 65), (30, 200)])
def test_the_formulations_agree(rng, columns, count):
    references, values = rng.normal(size=(count, columns)), rng.normal(size=(9, columns))
    values[0] = references[0]
    by_column = novelty._padded(references)
    shape = Shape(*by_column.shape)
    groups, of_references = np.arange(9.0) % 3, np.arange(shape.references) % 4.0
    distances = novelty._distances(values, by_column)
    expected = np.where(groups[:, None] == of_references, np.inf, distances).min(axis=1)
    for run in (find_nearest, nearness.compiled):
        found, space = np.full(9, np.nan), np.empty(novelty.WIDTH)
        run(values.reshape(-1), by_column.reshape(-1), groups, of_references, space, found, 0, 9, shape)
        assert np.array_equal(found, expected)


def test_threads_and_compiled_code_change_nothing(model, rng, monkeypatch):
    rows, *_ = objects(rng, 40)
    expected = model.score(rows)
    for compiled in (None, nearness.compiled):
        monkeypatch.setattr(nearness, "choose", lambda _, compiled=compiled: compiled)
        for jobs in (1, 3):
            assert np.array_equal(model.score(rows, Context(Limits(jobs=jobs))), expected)


@pytest.mark.parametrize("count", [1, 2, 7, 300])
@pytest.mark.parametrize("compiled", [None, nearness.compiled])
def test_distances_to_other_groups(rng, monkeypatch, count, compiled):
    monkeypatch.setattr(nearness, "choose", lambda _: compiled)
    scaled, groups = rng.normal(size=(500, 20)), rng.integers(0, count, 500)
    chosen = np.sort(rng.choice(500, 130, replace=False))
    own = groups if count > 1 else np.arange(500)
    expected = np.full(500, np.inf)
    for k in range(500):
        others = chosen[own[chosen] != own[k]]
        sums = np.zeros(len(others))
        for column in range(20):
            sums += (scaled[k, column] - scaled[others, column]) ** 2
        expected[k] = sums.min()
    assert np.array_equal(novelty._apart(scaled, chosen, groups), expected)


def test_of_many_objects_some_of_each_class_are_kept(rng):
    rows = rng.normal(size=(3000, 12)).astype(np.float32)
    classes = np.array([1] * 2950 + [2] * 45 + [3] * 5)
    model = model_of(rows, classes, np.arange(3000) % 7, SPLITS)
    assert len(model.references) == MAXIMUM_REFERENCES
    assert not model.score(rows[classes > 1]).any()  # rare classes are kept whole


def test_without_images_each_object_is_its_own(rng):
    rows, classes, _ = objects(rng, 1, each=50)
    model = model_of(rows, classes, np.zeros(50, int), SPLITS)
    assert 0 < model.threshold < np.inf


def test_objects_that_are_all_alike(rng):
    rows, classes, image = objects(rng, 4)
    assert model_of(np.ones_like(rows), classes, image, SPLITS) is None
    assert model_of(rows, classes, image, np.zeros(12, int)) is None
    twice = np.repeat(np.float32([[0, 0], [1, 1]]), 8, axis=0)
    model = model_of(twice, np.repeat([1, 2], 8), np.tile([0, 1], 8), np.array([1, 1]))
    assert model.score(np.float32([[0, 0], [9, 9]])).tolist() == [0, pytest.approx(17.0, abs=2)]


def test_large_numbers_stay_finite(model):
    rows = np.full((2, 12), np.finfo(np.float32).max)
    assert (model.score(rows) > 1).all()
    assert np.isfinite(model.score(rows)).all()


def test_nothing_to_score(model):
    assert model.score(np.zeros((0, 12), np.float32)).shape == (0,)
