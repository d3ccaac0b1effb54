"""The images that labels are for, and the names by which files of labels call them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.errors import InputError, listed
from objclass.pipeline.inputs import distinct_names
from objclass.training.labels.annotation import Annotation

SEVERAL = -1
"""In place of a lane: several have the name."""


class GivenLanes:
    """The lanes that labels are for.

    Parameters
    ----------
    lanes
        The lanes, with open images.
    classes
        Names of the classes that numbers stand for; empty: they have none yet.
    allow_misses
        Whether labels of images that are not given are left out, instead of refused.
    context
        Of the training, to read images and projects.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        classes: Sequence[str] = (),
        *,
        allow_misses: bool = False,
        context: Context | None = None,
    ) -> None:
        self.lanes, self.classes, self.allow_misses = tuple(lanes), tuple(classes), allow_misses
        self.context = context or Context()
        self.names = distinct_names(lanes)
        self._numbers = _numbers(lanes, self.names)
        self._files: dict[str, int | None] = {}

    def shape(self, lane: int) -> tuple[int, int, int, int]:
        """Lengths of t, z, y, x of a lane."""
        return self.lanes[lane].objects.shape[:4]

    def without_absent(self, path: str, images: Iterable[str]) -> tuple[set[str], list[str]]:
        """The images that are named in a file but not given, and a message about each.

        Parameters
        ----------
        path
            The file.
        images
            The name of the image of each label, ``""`` for none.

        Raises
        ------
        InputError
            If there are any, and they may not be left out.
        """
        absent = Counter(name for name in images if name and self._number(name) is None)
        if absent and not self.allow_misses:
            message = (
                f"labels {path} name images that are not given: {listed(absent)} (given: {listed(self.names)}): "
                f"give them too, or --allow_misses to leave their {absent.total()} labels out"
            )
            raise InputError(message)
        lines = [f"{path}: {n} labels of {name}, which is not given" for name, n in sorted(absent.items())]
        return set(absent), lines

    def number(self, name: str, path: str, line: str) -> int:
        """The lane of an image; without a name, the lane of the file of labels.

        Parameters
        ----------
        name
            As a file of labels calls the image, ``""`` if it does not.
        path, line
            The file, and the place of the label in it.

        Raises
        ------
        InputError
            If there is no such lane, or several might be meant.
        """
        found = self._number(name) if name else self.of_file(path)
        if found is not None and found != SEVERAL:
            return found
        why = f"image '{name}' is the name of several" if name else "no image"
        message = f"labels {line}: {why}: expected one of {listed(self.names)}"
        raise InputError(message)

    def of_file(self, path: str) -> int | None:
        """The lane of a file of labels that names no image: the only one, else that whose name its own begins with.

        After the name of the image, a name may go on with what is neither a letter nor a digit: ``cells_labels.csv``.
        None: there is no such lane; `SEVERAL`: there are several.
        """
        if path not in self._files:
            self._files[path] = self._begun(path)
        return self._files[path]

    def _begun(self, path: str) -> int | None:
        """`of_file`, which is asked for each line of a file."""
        if len(self.lanes) == 1:
            return 0
        place = Path(path)
        for end in range(len(place.name), 0, -1):
            if place.name[end : end + 1].isalnum():
                continue
            tail = Path(*place.parts[:-1], place.name[:end]).parts
            for known in ("/".join(tail[first:]) for first in range(len(tail))):
                if known in self._numbers:
                    return self._numbers[known]
        return None

    def checked(self, annotation: Annotation) -> Annotation:
        """The annotation, if its time step and place are in the image of its lane.

        Raises
        ------
        InputError
            If not.
        """
        steps, *shape = self.shape(annotation.lane)
        if not 0 <= annotation.t < steps:
            message = f"labels {annotation.line}: timestep {annotation.t}: there are {steps} (from 0)"
            raise InputError(message)
        fault = _outside(annotation, shape)
        if fault:
            message = f"labels {annotation.line}: {fault}"
            raise InputError(message)
        return annotation

    def _number(self, name: str) -> int | None:
        """The lane of an image that is named as it is, or by a path; `SEVERAL` where several have the name."""
        return self._numbers.get(name, self._numbers.get(Path(name).name))


def _numbers(lanes: Sequence[Lane], distinct: Sequence[str]) -> dict[str, int]:
    """All names of each lane: nickname, distinguishing path, file name; `SEVERAL` for names of several."""
    names: dict[str, int] = {}
    for number, (lane, name) in enumerate(zip(lanes, distinct, strict=True)):
        files = {Path(p).name for i in lane.images for p in i.files[:1]}
        for known in (name, lane.nickname, *files):
            names[known] = number if names.get(known, number) == number else SEVERAL
    return names


def _outside(annotation: Annotation, shape: Sequence[int]) -> str:
    """What is outside of an image (z, y, x); empty if nothing is."""
    depth, height, width = shape
    if annotation.place is not None:
        z, y, x = annotation.place
        if not (0 <= z < depth and 0 <= y < height and 0 <= x < width):
            flipped = 0 <= z < depth and 0 <= x < height and 0 <= y < width
            return f"x={x}, y={y}, z={z} is outside the image{' (are x and y swapped?)' if flipped else ''}"
    if annotation.area is not None:
        left, top, right, bottom = annotation.area.bounds
        if not (left < width and right > 0 and top < height and bottom > 0):
            return f"the area x={left:g} to {right:g}, y={top:g} to {bottom:g} is outside the image"
        if annotation.area.z is not None and not 0 <= annotation.area.z < depth:
            return f"plane z={annotation.area.z}: there are {depth} (from 0)"
    return ""
