import numpy as np
import pytest

from objclass.session import painting
from objclass.session.painting import painted, painted_rims


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_values_are_looked_up(shape, dtype):
    random = np.random.default_rng(0)
    numbers = random.integers(0, 9, shape).astype(np.uint32)
    table = random.integers(0, 200, 9).astype(dtype)
    found = painted(numbers, table)
    assert found.dtype == dtype
    assert np.array_equal(found, table[numbers])
    assert np.array_equal(painted(numbers.T, table), table[numbers.T])


@pytest.mark.parametrize("numbers", [np.uint32([1, 7]), np.uint32([[1, 7], [0, 2]])])
def test_numbers_beyond_the_table_are_background(numbers):
    table = np.array([9, 4, 5], np.uint8)
    assert np.array_equal(painted(numbers, table), np.where(numbers < 3, table[numbers % 3], 9))


def test_no_window_waits_for_a_compiler(monkeypatch):
    for kernel in painting.kernels.values():
        monkeypatch.setattr(type(kernel), "compiled", property(lambda _: pytest.fail("it compiles")))
        monkeypatch.setattr(type(kernel), "is_kept", property(lambda _: False))
    assert painted(np.ones((2048, 2048), np.uint32), np.uint8([0, 3])).min() == 3


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (12, 17)])
def test_rims_are_the_pixels_with_another_object_near(monkeypatch, shape, width, is_compiled):
    if not is_compiled:
        monkeypatch.setattr(type(painting.rims), "choose", lambda *_: None)
    numbers = np.kron(np.uint32([[1, 2], [0, 3]]), np.ones((7, 9), np.uint32))[: shape[0], : shape[1]]
    around = np.pad(numbers, width, constant_values=99)
    here = (slice(width, -width),) * 2
    shifted = [np.roll(around, step, axis)[here] for axis in (0, 1) for step in (-width, width)]
    is_rim = np.any([numbers != other for other in shifted], axis=0)
    table = np.uint8([0, 5, 6])
    expected = np.where(is_rim & (numbers < 3), table[numbers % 3], 0)
    assert np.array_equal(painted_rims(numbers, table, width), expected)
    assert np.array_equal(painted_rims(numbers.T, table, width), expected.T)
