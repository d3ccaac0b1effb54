"""Arrays that are looked up on demand, by the numbers of objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.session.painting import painted


class LookUp:
    """An array that is looked up on demand: ``table[numbers]``.

    Parameters
    ----------
    numbers
        The number of the object of each voxel, axes as displayed.
    table
        The value of each number; 0 is background.
    rim
        In planes, only outlines of objects have values, of this width in pixels; 0: whole objects have.

    Attributes
    ----------
    solid
        The table for parts with more axes than planes; None: ``table``.
    """

    def __init__(self, numbers: NDArray[np.uint32], table: NDArray[Any], rim: int = 0) -> None:
        self.numbers, self.table, self.rim = numbers, table, rim
        self.solid: NDArray[Any] | None = None
        self._last: tuple[Any, NDArray[Any], NDArray[np.uint32]] | None = None

    def change(
        self, numbers: NDArray[np.uint32], table: NDArray[Any], solid: NDArray[Any] | None = None
    ) -> bool:
        """Take other numbers and values; return whether any differs."""
        is_same = self.numbers is numbers and all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in ((self.table, table), (self.solid, solid))
        )
        self.numbers, self.table, self.solid = numbers, table, solid
        return not is_same

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.numbers.ndim

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.numbers.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.table.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        numbers = self.numbers[key]
        if self.rim and numbers.ndim == 2:
            numbers = self._outlines(key, numbers)
        table = self.solid if numbers.ndim > 2 and self.solid is not None else self.table
        return painted(numbers, table)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # numpy's protocol
        return np.asarray(self[...], dtype)

    def _outlines(self, key: Any, numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Outlines of the objects of a plane; those of the last plane are kept."""
        if self._last is None or self._last[1] is not self.numbers or self._last[0] != key:
            self._last = key, self.numbers, outlines(numbers, self.rim)
        return self._last[2]


def outlines(numbers: NDArray[np.uint32], width: int) -> NDArray[np.uint32]:
    """Only the outer pixels of each object of a plane; the others are 0.

    Parameters
    ----------
    numbers
        Number of the object of each pixel (n, m).
    width
        Outer pixels do not have the same object at this distance along both axes.
    """
    is_inner = np.ones(numbers.shape, bool)
    for turned, inner in ((numbers, is_inner), (numbers.T, is_inner.T)):
        is_same = turned[width:] == turned[:-width]
        inner[width:] &= is_same
        inner[:-width] &= is_same
    return np.where(is_inner, np.uint32(0), numbers)
