"""Fused multiply-add in float32: one rounding, by arrays as by the instruction of the processor."""

from typing import Any

import numpy as np

from objclass.compute.kernels import instruction


def _fma() -> Any:
    """LLVM's instruction, which calls ``fmaf`` of the C library where the processor has none."""
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def fma(_: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001 (numba wants their names)
        number = types.float32
        return number(number, number, number), lambda _, builder, __, given: builder.fma(*given)

    return fma


@instruction(_fma)
def fused(a: Any, b: Any, c: Any) -> Any:
    """a · b + c of float32, arrays or numbers, rounded once.

    The product of two float32 is exact in float64. The sum is rounded to odd there, so that rounding it to float32
    is the only rounding that counts (Boldo and Melquiond 2008).
    """
    product = a.astype(np.float64) * b.astype(np.float64)
    addend = c.astype(np.float64)
    total = product + addend
    part = total - product
    rest = (product - (total - part)) + (addend - part)
    bits = total.view(np.int64)
    inexact = (rest != 0) & (bits & 1 == 0) & np.isfinite(total)
    # one step towards the exact sum: away from zero where the rest has the sign of the sum
    step = np.where((rest > 0) == (total > 0), 1, -1)
    return (bits + np.where(inexact, step, 0)).view(np.float64).astype(np.float32)
