"""The features of a table of objects and how they were measured, stored with a DataFrame."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from objclass.features.contract import Feature, Key
from objclass.project.model import find, sorted_keys

if TYPE_CHECKING:
    from pandas import DataFrame

NOTE = "objclass"
"""Name of the attribute of a DataFrame that holds its `Measurement`."""


@dataclass(frozen=True)
class Measurement:
    """The features of a table of objects, and how they were measured; plain values, which files can store.

    Parameters
    ----------
    features
        (set, name) of each feature.
    ndim, channels
        Dimensions of the images (2 or 3), and channels of the raw data.
    margin
        Neighbourhood along x, y(, z) in pixels.
    spacing
        Extents of a pixel along the axes of the image; 1 where lengths are in pixels.
    unit
        Unit of lengths: ``"px"``, or that of the spacing, ``""`` if unknown.
    """

    features: Sequence[Sequence[str]]
    ndim: int
    channels: int
    margin: Sequence[int]
    spacing: Sequence[float]
    unit: str

    def note_in(self, table: "DataFrame") -> "DataFrame":
        """Store it in a table; return the table."""
        table.attrs[NOTE] = asdict(self)
        return table

    @classmethod
    def of(cls, table: "DataFrame") -> "Measurement | None":
        """The measurement stored in a table, None if there is none."""
        noted = table.attrs.get(NOTE)
        return cls(**noted) if isinstance(noted, Mapping) else None

    def learnable(self, columns: Sequence[str]) -> dict[Key, list[str]]:
        """Columns of each feature that is complete, in the order of a forest, without features of location."""
        known = [found for set_name, name in self.features if (found := find(set_name, name)) is not None]
        by_key: dict[Key, Feature] = {feature.key: feature for feature in known if not feature.location}
        named = {
            key: by_key[key].columns(self.ndim, self.channels) for key in sorted_keys([*by_key.values()])
        }
        return {key: names for key, names in named.items() if set(names) <= set(columns)}
