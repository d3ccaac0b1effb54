"""The nouns of labels: an annotation as a file gives it, and the labels of the objects of a time step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from objclass.training.labels.area import Area


@dataclass(frozen=True)
class Annotation:
    """One label of a file: the class of objects of a lane and time step, which are given by id, by a point or by an area.

    Parameters
    ----------
    lane, t
        Number of the lane, and time step, from 0.
    name
        The class.
    line
        File and line (row, feature, region) of the label, for messages.
    label, original
        The id of the object, from 1; its id in the label image that was given. 0: not given.
    place
        A pixel of the object: z, y, x.
    area
        A part of the image.
    group
        What the object belongs to, such as a track; ``""`` if nothing is given.
    """

    lane: int
    t: int
    name: str
    line: str
    label: int = 0
    original: int = 0
    place: tuple[int, int, int] | None = None
    area: Area | None = None
    group: str = ""


@dataclass(frozen=True)
class Reading:
    """The content of a file of labels.

    Parameters
    ----------
    annotations
        Its labels.
    left_out
        Messages about labels that were left out.
    is_numbered
        Whether it gives classes by their numbers.
    """

    annotations: Sequence[Annotation]
    left_out: Sequence[str] = ()
    is_numbered: bool = False


@dataclass(frozen=True)
class Hits:
    """How many points, areas or painted pixels there are, and how many of them lie on background."""

    places: int = 0
    misses: int = 0

    def __add__(self, other: "Hits") -> "Hits":
        return Hits(self.places + other.places, self.misses + other.misses)


@dataclass(frozen=True)
class StepLabels:
    """The labels of the objects of a time step.

    Parameters
    ----------
    classes
        Class of each labelled object by id, sorted by id.
    groups
        What labelled objects belong to, by id, where it is given.
    left_out
        Messages about labels that were left out.
    marks, pixels
        Points and areas, and painted pixels.
    """

    classes: dict[int, str]
    groups: dict[int, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    marks: Hits = Hits()
    pixels: Hits = Hits()
