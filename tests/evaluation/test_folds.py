from dataclasses import replace

import numpy as np
import pytest

from objclass.errors import UsageError
from objclass.evaluation.folds import class_counts, folds_of
from objclass.evaluation.groups import canonical, groups_of, regions
from tests.evaluation.made import made


def folded(groups, classes, count=5, seed=0):
    return folds_of(np.array(groups), np.array(classes), count, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_together_and_classes_are_spread(seed):
    random = np.random.default_rng(seed)
    groups = np.unique(random.integers(0, 30, 400), return_inverse=True)[1]
    classes = random.choice(3, 400, p=[0.7, 0.25, 0.05]) + 1
    fold = folded(groups, classes, 5, seed)
    assert all(len(np.unique(fold[groups == g])) == 1 for g in np.unique(groups))
    parts = class_counts(fold, classes) / np.bincount(classes)[1:]
    assert len(parts) == 5
    assert (np.abs(parts[:, :2] - 0.2) < 0.12).all()
    assert (parts < 1).all()


@pytest.mark.parametrize("seed", range(40))
def test_a_class_of_two_groups_is_never_in_one_fold_alone(seed):
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(6), 10)
    classes = np.ones(60, int)
    for rare in (2, 3, 4):
        for group in random.choice(6, 2, replace=False):
            classes[group * 10 + rare] = rare
    fold = folded(groups, classes, 3, seed)
    assert all(len(np.unique(fold[classes == k])) > 1 for k in np.unique(classes))


def test_repeats_draw_other_folds():
    groups, classes = np.arange(40), np.tile([1, 2], 20)
    assert len({folded(groups, classes, 5, seed).tobytes() for seed in range(4)}) == 4


def test_each_fold_has_groups_even_if_there_is_one_for_each():
    assert sorted(folded(np.arange(5), np.array([1, 1, 1, 1, 2]))) == [0, 1, 2, 3, 4]


def test_several_images_are_grouped_by_image_one_by_region_a_movie_by_track_or_time():
    many = made(images=4)
    assert (groups_of(many).name, groups_of(many).count) == ("image", 4)
    one = made(images=1, objects=100)
    n = len(one)
    assert groups_of(one).name == ""
    placed = replace(one, center=np.random.default_rng(0).random((n, 3)) * [500, 300, 0])
    assert (groups_of(placed).name, groups_of(placed).count) == ("region", 10)
    movie = replace(placed, timestep=np.arange(n) // 3)
    groups = groups_of(movie)
    assert (groups.name, groups.count) == ("time", 10)
    assert (np.diff(groups.of) >= 0).all()  # stretches, in the order of time
    assert all(len(np.unique(groups.of[movie.timestep == t])) == 1 for t in range(n // 3))
    tracked = replace(movie, group=tuple(str(k % 7) for k in range(n)))
    assert (groups_of(tracked).name, groups_of(tracked).count) == ("track", 7)


def test_groups_that_were_asked_for():
    table = made(images=3)
    table = replace(table, timestep=np.arange(len(table)) % 5)
    assert groups_of(table, "time").count == 15
    with pytest.raises(UsageError, match="no positions"):
        groups_of(table, "region")
    with pytest.raises(UsageError, match="--group_by 'plate': expected image, region, time, track"):
        groups_of(table, "plate")
    with pytest.raises(UsageError, match="only one image"):
        groups_of(made(images=1), "image")


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_regions_are_compact_and_of_equal_size(count):
    points = np.random.default_rng(1).random((200, 3)) * [100, 100, 1]
    found = regions(points, count)
    sizes = np.bincount(found)
    assert len(sizes) == count
    assert np.ptp(sizes) <= 1
    within = np.mean([points[found == k, :2].var(axis=0).sum() for k in range(count)])
    assert within < points[:, :2].var(axis=0).sum() / count * 1.8


def test_regions_do_not_depend_on_the_order_of_points():
    points = np.random.default_rng(1).random((50, 3))
    order = np.random.default_rng(2).permutation(50)
    assert np.array_equal(regions(points, 7)[order], regions(points[order], 7))


def test_canonical_tables_are_the_same_whatever_the_order():
    table = made(images=5)
    moved = table.take(np.random.default_rng(3).permutation(len(table)))
    new = np.array([3, 0, 4, 1, 2])
    moved = replace(moved, image=new[moved.image], images=tuple(table.images[k] for k in np.argsort(new)))
    a, b = canonical(table), canonical(moved)
    assert a.images == b.images == tuple(sorted(table.images))
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.image, b.image)
