"""All labels of a training, of files of any kind together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from objclass.compute.context import Context
from objclass.core import Image, Objects
from objclass.errors import InputError, listed
from objclass.training.labels.annotation import Annotation, Hits, StepLabels
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.marks import marked_labels
from objclass.training.labels.painted import is_painted, painted_labels

MAXIMUM_MISSES = 1 / 3
"""Maximum fraction of points or painted pixels on background: more are a sign that they are not of these objects."""


@dataclass(frozen=True)
class Labels:
    """The labels of all lanes.

    Parameters
    ----------
    given
        The lanes.
    annotations
        Lane and time step -> labels by id, point and area.
    painted
        Lane -> its painted image.
    left_out
        Messages about labels that were left out.
    is_numbered
        Whether classes are given by their numbers.
    """

    given: GivenLanes
    annotations: Mapping[tuple[int, int], Sequence[Annotation]]
    painted: Mapping[int, Image]
    left_out: Sequence[str] = ()
    is_numbered: bool = False

    @property
    def named(self) -> list[tuple[str, str]]:
        """The place and the name of each class that is given by its name."""
        return [(f"labels {a.line}", a.name) for given in self.annotations.values() for a in given]

    def lanes(self) -> list[int]:
        """The lanes that may have labels."""
        return sorted({*self.painted, *(lane for lane, _ in self.annotations)})

    def is_labelled(self, lane: int, t: int, context: Context) -> bool:
        """Whether a time step has labels, found without looking for objects."""
        if (lane, t) in self.annotations:
            return True
        return lane in self.painted and is_painted(self.painted[lane], t, context)

    def of(self, lane: int, t: int, objects: Objects, context: Context) -> StepLabels:
        """The labels of the objects of a time step.

        Raises
        ------
        InputError
            If a label fits no object, or an object has two classes.
        """
        annotations, name = self.annotations.get((lane, t), ()), self.given.names[lane]
        found, marked = marked_labels(annotations, objects, name, context)
        painted = StepLabels({})
        if lane in self.painted:
            painted = painted_labels(self.painted[lane], t, objects, self.given, name, context)
        classes = [(label, a.name, a.line) for label, a in found]
        classes += [(label, given, self.painted[lane].name) for label, given in painted.classes.items()]
        groups = [(label, a.group, a.line) for label, a in found if a.group]
        where = f"{name}, time step {t}"
        return replace(
            painted,
            classes=_unanimous(classes, where),
            groups=_unanimous(groups, where),
            left_out=[*marked.left_out, *painted.left_out],
            marks=marked.marks,
        )


def _unanimous(given: Iterable[tuple[int, str, str]], where: str) -> dict[int, str]:
    """The name that each object is given, sorted by id.

    Parameters
    ----------
    given
        Id, name, and place of the label.
    where
        Image and time step, for messages.

    Raises
    ------
    InputError
        If an object is given two; the message names both places.
    """
    first: dict[int, tuple[str, str]] = {}
    faults: dict[int, str] = {}
    for label, name, line in given:
        other, place = first.setdefault(label, (name, line))
        if other != name:
            faults.setdefault(label, f"object {label} is both {other} ({place}) and {name} ({line})")
    if faults:
        message = f"labels of {where}: {listed(faults.values())}: expected one for each object"
        raise InputError(message)
    return {label: name for label, (name, _) in sorted(first.items())}


def check_misses(steps: Collection[StepLabels]) -> None:
    """Refuse labels of which too many are points or painted pixels on background.

    Parameters
    ----------
    steps
        The labels of all time steps of all lanes.

    Raises
    ------
    InputError
        If there are too many; the message says how many, and names the first.
    """
    kinds = (
        (
            "points and areas",
            [step.marks for step in steps],
            "are x and y swapped, or in another unit than pixels?",
        ),
        ("painted pixels", [step.pixels for step in steps], "strokes that train pixels need --pixels"),
    )
    for what, hits, doubt in kinds:
        total = sum(hits, Hits())
        if total.misses > MAXIMUM_MISSES * total.places:
            first = next(step.left_out[0] for step, hit in zip(steps, hits, strict=True) if hit.misses)
            message = (
                f"{total.misses} of {total.places} {what} of the labels lie on background ({doubt}): give "
                f"--allow_misses to leave them out; {first}"
            )
            raise InputError(message)
