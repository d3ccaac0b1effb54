"""Areas against shapely, and the objects in them against counting."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import Objects
from objclass.training.labels import area as rooms
from objclass.training.labels.area import Area, objects_in, oval, rectangle

HEIGHT, WIDTH = 9, 11


def masked(area):
    """All pixels of the image, those outside of the rows and columns of the area are not of it."""
    rows, columns = area.within(HEIGHT, WIDTH)
    found = np.zeros((HEIGHT, WIDTH), bool)
    found[rows, columns] = area.mask(rows, columns)
    return found


corners = st.tuples(st.integers(-60, 160), st.integers(-60, 160)).map(
    lambda p: (p[0] / 10 + 0.03, p[1] / 10 + 0.07)
)


@given(st.lists(corners, min_size=3, max_size=9, unique=True))
def test_pixels_are_those_whose_centres_lie_inside(points):
    polygon = shapely.Polygon(points)
    if not polygon.is_valid:
        return
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = shapely.contains_xy(polygon, x, y)
    near = shapely.distance(polygon.boundary, shapely.points(x, y)) < 1e-9
    assert ((masked(Area((np.array(points),))) == expected) | near).all()


@pytest.mark.parametrize(
    ("ring", "expected"),
    [(rectangle(2, 1, 5, 3), 6), (rectangle(2.6, 1, 5.4, 3), 4), (rectangle(-5, -5, 99, 99), 99), (oval(0, 0, 9, 9), 69)],
)  # fmt: skip
def test_rectangles_and_ovals(ring, expected):
    assert masked(Area((ring,))).sum() == expected


def test_holes():
    found = masked(Area((rectangle(1, 1, 6, 6), rectangle(2, 2, 4, 4))))
    assert found.sum() == 25 - 4
    assert not found[2:4, 2:4].any()


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_objects_by_counting(seed, crossings):
    """The same for any cut, as by definition: half of the object, or half of the area, and not one pixel less."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 6, (2, 3, 4)), np.ones((1, 3, 3), int))[:, :HEIGHT, :WIDTH].astype(
        np.uint32
    )
    objects = Objects(labels, 6)
    areas = [
        Area((rng.integers(-2, 13, (rng.integers(3, 6), 2)) + 0.2,), rng.choice([None, 0, 1]))
        for _ in range(4)
    ]
    before, rooms.CROSSINGS = rooms.CROSSINGS, crossings
    try:
        found = objects_in(areas, objects, Context(Limits(block=(1, 2))))
    finally:
        rooms.CROSSINGS = before
    for area, ids in zip(areas, found, strict=True):
        inside = masked(area)
        planes = labels if area.z is None else labels[area.z : area.z + 1]
        within = planes[:, inside]
        expected = [
            k for k in range(1, 7)
            if 2 * (within == k).sum() > min((planes == k).sum(), within.size) and (within == k).any()
        ]  # fmt: skip
        assert ids == expected
