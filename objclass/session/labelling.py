"""The labels of a session: its classes, and the objects that were given one. A change makes a new noun, so that it can be undone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.errors import UsageError
from objclass.project.model import COLORS, MAXIMUM_CLASSES, Color
from objclass.training.labels.classes import name_fault

MAXIMUM_UNDO = 500
"""Maximum number of changes that can be undone."""


@dataclass(frozen=True)
class LabelClass:
    """A class: its name, and its colour (red, green, blue; 0 to 255)."""

    name: str
    color: Color


@dataclass(frozen=True, eq=False)
class Footprint:
    """The voxels of an object, by which it is found again among the objects of other thresholds.

    Parameters
    ----------
    image
        Key of the image.
    box
        Where the object lies: slices along t, z, y, x; a single time step.
    mask
        Its voxels in the box, bool.
    """

    image: int
    box: tuple[slice, slice, slice, slice]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class StoredObject:
    """An object of a project, until the objects of its image are found.

    Parameters
    ----------
    image
        Key of the image.
    timestep, label
        Its time step and id.
    """

    image: int
    timestep: int
    label: int


class Mark(NamedTuple):
    """The label of an object.

    Parameters
    ----------
    footprint
        The voxels that the object had when it was labelled.
    number
        The class, from 1.
    """

    footprint: Footprint | StoredObject
    number: int


@dataclass(frozen=True)
class Labels:
    """The labels of the objects of an image.

    Parameters
    ----------
    classes
        Number of a labelled object -> its class, from 1.
    marks
        Number of an object -> its marks: several where labelled objects have merged.
    lost
        Labels without an object: no object holds more than half of it, or it has merged with one of another class.
    """

    classes: Mapping[int, int] = field(default_factory=dict)
    marks: Mapping[int, Sequence[Mark]] = field(default_factory=dict)
    lost: Sequence[Mark] = ()


@dataclass(frozen=True)
class Labelling:
    """Classes, and labels in the order in which they were given."""

    classes: tuple[LabelClass, ...] = ()
    marks: tuple[Mark, ...] = ()

    @cached_property
    def by_image(self) -> Mapping[int, tuple[Mark, ...]]:
        """Key of an image -> its labels; images without labels are absent."""
        found: dict[int, list[Mark]] = {}
        for mark in self.marks:
            found.setdefault(mark.footprint.image, []).append(mark)
        return {image: tuple(marks) for image, marks in found.items()}

    def located(self, found: Mapping[StoredObject, Footprint]) -> "Labelling":
        """With the footprints of objects of a project that are found now."""
        if not any(mark.footprint in found for mark in self.marks):
            return self
        places: Mapping[Any, Footprint] = found
        marks = (mark._replace(footprint=places.get(mark.footprint, mark.footprint)) for mark in self.marks)
        return replace(self, marks=tuple(marks))

    def with_marks(self, new: Iterable[Mark], replaced: Collection[Mark] = ()) -> "Labelling":
        """With further marks, and without those that they replace."""
        gone = set(replaced)
        return replace(self, marks=(*(mark for mark in self.marks if mark not in gone), *new))

    def with_class(self, name: str = "", color: Color | None = None) -> "Labelling":
        """With another class; name and colour are chosen where they are not given.

        Raises
        ------
        UsageError
            If there is a class of this name, or there are too many.
        """
        if len(self.classes) == MAXIMUM_CLASSES:
            message = f"{MAXIMUM_CLASSES} classes: a project holds no more"
            raise UsageError(message)
        number = len(self.classes) + 1
        taken = {one.name for one in self.classes}
        free = (f"Class {k}" for k in range(number, number + len(taken) + 1))
        chosen = name or next(wish for wish in free if wish not in taken)
        used = {one.color for one in self.classes}
        own = color or next((c for c in COLORS if c not in used), COLORS[(number - 1) % len(COLORS)])
        return replace(self, classes=(*self.classes, LabelClass(self._checked(chosen), own)))

    def renamed(self, number: int, name: str) -> "Labelling":
        """With another name of a class.

        Raises
        ------
        UsageError
            If there is no such class, or another one has the name, or it is none.
        """
        known = self.check_class(number)
        return self._with(number, replace(known, name=self._checked(name, number)))

    def recolored(self, number: int, color: Color) -> "Labelling":
        """With another colour of a class."""
        return self._with(number, replace(self.check_class(number), color=color))

    def without_class(self, number: int) -> "Labelling":
        """Without a class and its labels; the classes after it move up."""
        self.check_class(number)
        kept = tuple(
            mark if mark.number < number else mark._replace(number=mark.number - 1)
            for mark in self.marks
            if mark.number != number
        )
        return Labelling((*self.classes[: number - 1], *self.classes[number:]), kept)

    def without_image(self, image: int) -> "Labelling":
        """Without the labels of an image."""
        if image not in self.by_image:
            return self
        return replace(self, marks=tuple(mark for mark in self.marks if mark.footprint.image != image))

    def check_class(self, number: int) -> LabelClass:
        """The class of a number.

        Raises
        ------
        UsageError
            If there is none.
        """
        if not 1 <= number <= len(self.classes):
            message = f"class {number}: expected one of the classes 1 to {len(self.classes)}"
            raise UsageError(message if self.classes else "No classes: add two at least.")
        return self.classes[number - 1]

    def _with(self, number: int, one: LabelClass) -> "Labelling":
        return replace(self, classes=(*self.classes[: number - 1], one, *self.classes[number:]))

    def _checked(self, name: str, number: int = 0) -> str:
        """The name, if it can be that of the class."""
        stripped = name.strip()
        if fault := name_fault(stripped):
            message = fault if stripped else "the name of a class is empty: expected some letters"
            raise UsageError(message)
        if any(one.name == stripped for k, one in enumerate(self.classes, 1) if k != number):
            message = f"there is a class {stripped} already: expected another name"
            raise UsageError(message)
        return stripped


@dataclass(frozen=True)
class History:
    """The present labelling, with those before it and those that were undone."""

    now: Labelling = Labelling()
    past: tuple[Labelling, ...] = ()
    future: tuple[Labelling, ...] = ()

    def changed(self, new: Labelling, *, continued: bool = False) -> "History":
        """After a change; ``continued``: it is undone together with the change before."""
        if new is self.now:
            return self
        return History(new, self.past if continued and self.past else (*self.past, self.now)[-MAXIMUM_UNDO:])

    def without_image(self, image: int) -> "History":
        """Without the labels of an image, now and before; changes that concerned no other image are left out."""
        past, now, future = self.past, self.now.without_image(image), self.future
        before = _distinct([*(one.without_image(image) for one in past), now])
        after = _distinct([now, *(one.without_image(image) for one in future)])
        return History(now, tuple(before[:-1]), tuple(after[1:]))

    def located(self, found: Mapping[StoredObject, Footprint]) -> "History":
        """With the footprints of objects of a project that are found now, in all labellings."""
        past, future = (tuple(one.located(found) for one in several) for several in (self.past, self.future))
        return History(self.now.located(found), past, future)

    def undone(self) -> "History":
        """Before the last change; the same if there is none."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.now, *self.future))

    def redone(self) -> "History":
        """After the change that was undone last; the same if there is none."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.now), self.future[1:])


def _distinct(labellings: Sequence[Labelling]) -> list[Labelling]:
    """Without those that equal the one before."""
    return [one for k, one in enumerate(labellings) if k == 0 or one != labellings[k - 1]]
