"""The labels of a session: its classes, and the objects that were given one. A change makes a new noun, so that it can be undone."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objclass.errors import UsageError
from objclass.project.model import COLORS, MAXIMUM_CLASSES, Color


@dataclass(frozen=True)
class LabelClass:
    """A class: its name, and its colour (red, green, blue; 0 to 255)."""

    name: str
    color: Color


@dataclass(frozen=True, eq=False)
class Mark:
    """The label of an object, with the voxels that the object had when it was given.

    Parameters
    ----------
    image
        Key of the image.
    box
        Where the object lies: slices along t, z, y, x; a single time step.
    mask
        Its voxels in the box, bool.
    number
        The class, from 1.
    """

    image: int
    box: tuple[slice, slice, slice, slice]
    mask: NDArray[np.bool_]
    number: int


@dataclass(frozen=True)
class Labelling:
    """Classes, and labels in the order in which they were given."""

    classes: tuple[LabelClass, ...] = ()
    marks: tuple[Mark, ...] = ()

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
            If another class has the name.
        """
        return self._with(number, replace(self.classes[number - 1], name=self._checked(name, number)))

    def recolored(self, number: int, color: Color) -> "Labelling":
        """With another colour of a class."""
        return self._with(number, replace(self.classes[number - 1], color=color))

    def without_class(self, number: int) -> "Labelling":
        """Without a class and its labels; the classes after it move up."""
        kept = tuple(
            mark if mark.number < number else replace(mark, number=mark.number - 1)
            for mark in self.marks
            if mark.number != number
        )
        return Labelling((*self.classes[: number - 1], *self.classes[number:]), kept)

    def without_image(self, image: int) -> "Labelling":
        """Without the labels of an image."""
        return replace(self, marks=tuple(mark for mark in self.marks if mark.image != image))

    def _with(self, number: int, one: LabelClass) -> "Labelling":
        return replace(self, classes=(*self.classes[: number - 1], one, *self.classes[number:]))

    def _checked(self, name: str, number: int = 0) -> str:
        """The name, if no other class has it."""
        stripped = " ".join(name.split())
        if not stripped:
            message = "the name of a class is empty: expected some letters"
            raise UsageError(message)
        if any(one.name == stripped for k, one in enumerate(self.classes, 1) if k != number):
            message = f"there is a class {stripped} already"
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
        return History(new, self.past if continued and self.past else (*self.past, self.now))

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
