"""Arrays that are looked up on demand, by the numbers of objects."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.session.painting import painted, painted_rims


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
        table = self.solid if numbers.ndim > 2 and self.solid is not None else self.table
        if not table.any():
            return np.zeros(numbers.shape, table.dtype)
        if self.rim and numbers.ndim == 2:
            return painted_rims(numbers, table, self.rim)
        return painted(numbers, table)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # numpy's protocol
        return np.asarray(self[...], dtype)
