"""Compiled where it pays; the same numbers either way."""

import pytest

from objclass.kernels import Kernels

ten = Kernels(globals(), repays_loading=10, repays_compiling=100)


@ten
def double(x):
    return 2 * x


@ten
def double_sum(values):
    total = 0
    for value in values:
        total += double(value)
    return total


def fresh():
    kernels = Kernels(globals(), repays_loading=10, repays_compiling=100)
    kernels.functions += ten.functions
    return kernels


def test_compiled_and_plain_are_equal():
    import numpy as np

    function, _ = fresh().compiled
    assert function(np.arange(5)) == double_sum(range(5)) == 20


def test_compiled_code_is_kept_for_the_next_process():
    import numpy as np

    fresh().compiled[0](np.arange(3))
    assert fresh().compiled[1]


@pytest.mark.parametrize("ready", [True, False])
def test_much_work_is_worth_compiling(ready):
    kernels = fresh()
    kernels.__dict__["compiled"] = ("compiled", ready)
    assert kernels.choose(9) is None
    assert (kernels.choose(1) == "compiled") is ready  # ten in all
    assert kernels.choose(90) == "compiled"
    kernels = fresh()
    kernels.__dict__["compiled"] = ("compiled", ready)
    assert (kernels.choose(1, known=10) == "compiled") is ready
    assert kernels.choose(1, known=100) == "compiled"


def test_without_a_folder_for_compiled_code(monkeypatch):
    """numba raises then, before it compiles anything."""
    import numba

    njit = numba.njit

    def nowhere(*, cache=False, **options):
        if cache:
            message = "cannot cache function: no locator available"
            raise RuntimeError(message)
        return njit(**options)

    monkeypatch.setattr(numba, "njit", nowhere)
    function, ready = fresh().compiled
    assert callable(function)
    assert not ready
