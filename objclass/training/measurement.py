"""What a table of objects holds, and how it was measured: a note that stays with a DataFrame."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from objclass.features.contract import Feature, Key
from objclass.project.model import find, sorted_keys

if TYPE_CHECKING:
    from pandas import DataFrame

NOTE = "objclass"
"""Under this name the attributes of a DataFrame hold its `Measurement`."""


@dataclass(frozen=True)
class Measurement:
    """What a table of objects holds, and how it was measured; plain values, so that files keep it.

    Parameters
    ----------
    features
        (set, name) of each feature.
    ndim, channels
        Of the images: 2 or 3 dimensions, channels of the raw data.
    margin
        Neighbourhood along x, y(, z) in pixels.
    spacing
        Extents of a pixel along the axes of the image; 1 where lengths are in pixels.
    unit
        Of lengths: ``"px"``, or the unit of the spacing, ``""`` if that has none.
    """

    features: Sequence[Sequence[str]]
    ndim: int
    channels: int
    margin: Sequence[int]
    spacing: Sequence[float]
    unit: str

    def note_in(self, table: "DataFrame") -> "DataFrame":
        """The table, which from now on says it."""
        table.attrs[NOTE] = asdict(self)
        return table

    @classmethod
    def of(cls, table: "DataFrame") -> "Measurement | None":
        """What a table says, None if it does not."""
        noted = table.attrs.get(NOTE)
        return cls(**noted) if isinstance(noted, Mapping) else None

    def learnable(self, columns: Sequence[str]) -> dict[Key, list[str]]:
        """Columns of each feature of which all are there, in the order of a forest; none that tells the location."""
        known = [found for set_name, name in self.features if (found := find(set_name, name)) is not None]
        by_key: dict[Key, Feature] = {feature.key: feature for feature in known if not feature.location}
        named = {
            key: by_key[key].columns(self.ndim, self.channels) for key in sorted_keys([*by_key.values()])
        }
        return {key: names for key, names in named.items() if set(names) <= set(columns)}
