"""The training table: the objects whose classes are known, as a forest sees them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray, IntArray
from objclass.errors import InputError


@dataclass(frozen=True)
class TrainingTable:
    """One row for each object whose class is known: what a forest is trained on and judged by.

    Parameters
    ----------
    rows
        Features (n, columns), float32, finite: the rows that the forest gets.
    classes
        The class of each object (n,), from 1.
    image
        The place of its image in ``images`` (n,).
    timestep, label
        Its time step and id (n,).
    center
        Its centre (n, 3) in pixels, in the order x, y, z (0 in planes); NaN where it is not known.
    names
        Names of the classes 1, 2 …
    images
        Names of the images.
    columns, sets
        Name of each column, and of the feature set that it comes from (``""`` if there is none).
    group
        What each object belongs to beyond its image, such as a track (n,): texts; empty if nothing was given.
    group_name
        What such a group is called.
    extents
        Lengths x, y, z of each image in pixels; empty if they are not known.
    has_ids
        Whether ``label`` are ids; if not, they are numbers of rows, which depend on the order of the rows.
    """

    rows: NDArray[np.float32]
    classes: IntArray
    image: IntArray
    timestep: IntArray
    label: IntArray
    center: FloatArray
    names: tuple[str, ...]
    images: tuple[str, ...]
    columns: tuple[str, ...]
    sets: tuple[str, ...]
    group: tuple[str, ...] = ()
    group_name: str = "track"
    extents: tuple[tuple[int, int, int], ...] = ()
    has_ids: bool = True

    def __post_init__(self) -> None:
        n = len(self.rows)
        lengths = [len(a) for a in (self.classes, self.image, self.timestep, self.label, self.center)]
        if (
            self.rows.shape[1:] != (len(self.columns),)
            or set(lengths) != {n}
            or len(self.group) not in (0, n)
        ):
            message = f"a training table of {n} rows: its columns have lengths {lengths}, its groups {len(self.group)}"
            raise InputError(message)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: IntArray) -> "TrainingTable":
        """Some of its rows."""
        return replace(
            self,
            rows=self.rows[index],
            classes=self.classes[index],
            image=self.image[index],
            timestep=self.timestep[index],
            label=self.label[index],
            center=self.center[index],
            group=tuple(self.group[k] for k in index.tolist()) if self.group else (),
        )

    def with_columns(self, kept: Sequence[int]) -> "TrainingTable":
        """Only these columns, by their places."""
        return replace(
            self,
            rows=self.rows[:, kept],
            columns=tuple(self.columns[k] for k in kept),
            sets=tuple(self.sets[k] for k in kept),
        )
