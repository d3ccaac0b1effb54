"""Outlines are exact: valid polygons that cover the pixels of their objects and no others, whatever the slabs."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from objclass.compute.slabs import slabs
from objclass.export.objects.outlines import Outline, outlines


def polygons(outline: Outline):
    return shapely.MultiPolygon([(rings[0], rings[1:]) for rings in outline.polygons])


def stops(plane):
    """For each label the row after its last one; 0 for labels that do not occur."""
    found = ndimage.find_objects(plane)
    return np.array([box[0].stop if box else 0 for box in found], int)


def traced(plane, rows=1000):
    labels = plane[None]
    return list(outlines(labels, 0, stops(plane), slabs(labels.shape, block=(1, rows))))


def as_lists(found):
    return [(o.label, [[ring.tolist() for ring in rings] for rings in o.polygons]) for o in found]


def check(plane):
    y, x = np.indices(plane.shape) + 0.5
    found = traced(plane)
    assert [outline.label for outline in found] == sorted(set(plane[plane > 0].tolist()))
    for outline in found:
        shape, mask = polygons(outline), plane == outline.label
        assert shape.is_valid, shapely.is_valid_reason(shape)
        assert np.array_equal(shapely.contains_xy(shape, x, y), mask)
        assert shape.area == mask.sum()
        for outer, *holes in outline.polygons:
            assert shapely.LinearRing(outer).is_ccw  # as GeoJSON has it
            assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
    for rows in (1, 2, 5):
        assert as_lists(traced(plane, rows)) == as_lists(found)


@given(
    arrays.arrays(np.uint32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))
)
def test_any_label_image(plane):
    check(plane)


@given(
    arrays.arrays(np.uint32, st.tuples(st.integers(1, 16), st.integers(1, 16)), elements=st.integers(0, 1))
)
def test_any_mask(plane):
    """Holes in parts in holes, diagonals, pixels at the border."""
    check(plane)


DRAWN = {
    "a pixel": "#",
    "a hole": "### #.# ###",
    "two holes that touch at a corner": "##### #.### ##.## ##### #####",
    "a hole that touches the outside at a corner": ".### ##.# ####",
    "parts that touch at a corner": "#. .#",
    "an island in a hole": "##### #...# #.#.# #...# #####",
    "an island that touches its shore": "##### ##..# #.#.# #...# #####",
    "a ring of diagonal steps": ".#. #.# .#.",
    "objects that touch": "#22 #2. 332",
    "an object around another": "### #2# ###",
}


@pytest.mark.parametrize("rows", DRAWN.values(), ids=list(DRAWN))
def test_shapes(rows):
    check(np.array([[".#23".index(sign) for sign in row] for row in rows.split()], np.uint32))


def test_parts_and_holes_are_counted():
    (ring,) = traced(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint32))
    assert [len(rings) for rings in ring.polygons] == [2]
    assert not ring.is_simple
    (pair,) = traced(np.array([[1, 0], [0, 1]], np.uint32))
    assert [len(rings) for rings in pair.polygons] == [1, 1]
    (square,) = traced(np.array([[1, 1], [1, 1]], np.uint32))
    assert square.is_simple
    assert square.polygons[0][0].tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_many_objects_at_once():
    """Large numbers of labels, columns and rows do not mix."""
    rng = np.random.default_rng(0)
    plane = ndimage.label(rng.random((150, 210)) < 0.4)[0].astype(np.uint32)
    found = traced(plane)
    assert len(found) == plane.max() > 1000
    painted = np.zeros_like(plane)
    y, x = np.indices(plane.shape) + 0.5
    for outline in found:
        shape = polygons(outline)
        left, top, right, bottom = map(int, shape.bounds)
        box = np.s_[top:bottom, left:right]
        painted[box][shapely.contains_xy(shape, x[box], y[box])] = outline.label
    assert np.array_equal(painted, plane)
