"""The file of a session, and the images that are added to those of a project."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count

from objclass.core import Image, Lane
from objclass.errors import ImageError
from objclass.images import dataset_name, open_image
from objclass.project.model import Project, TrainingInput
from objclass.session.images import FoundObjects, SessionImage
from objclass.session.state import State
from objclass.training.stored_images import input_of


@dataclass(frozen=True, eq=False)
class SavedProject:
    """The file of a session.

    Parameters
    ----------
    path
        Its absolute path.
    state
        What it holds.
    lanes
        What it says of its images: role -> image; files by absolute paths.
    numbers
        The lane of each image of the state, from 0; there are more lanes if images could not be opened.
    """

    path: str
    state: State
    lanes: tuple[Mapping[str, TrainingInput], ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, path: str, state: State) -> "SavedProject":
        """The file in which a state was saved."""
        return cls(path, state, lanes_of(state), tuple(range(len(state.images))))

    def holds(self, state: State) -> bool:
        """Whether nothing was changed since."""
        return (
            state.images == self.state.images
            and lanes_of(state) == self.lanes
            and state.settings == self.state.settings
            and state.labelling == self.state.labelling
        )

    def lanes_in(self, state: State) -> dict[int, int]:
        """Key of an image of the file that a state has still -> its lane, in the order of the images."""
        lanes = dict(zip((image.key for image in self.state.images), self.numbers, strict=True))
        return {image.key: lanes[image.key] for image in state.images if image.key in lanes}

    def located(self, found: FoundObjects) -> "SavedProject":
        """With labels at the objects of an image that are found now, which is no change."""
        return replace(self, state=self.state.located(found))


def lanes_of(state: State) -> tuple[Mapping[str, TrainingInput], ...]:
    """What a project says of the images of a state."""
    return tuple(image.inputs for image in state.images)


def new_image(state: State, lane: Lane) -> SessionImage:
    """An image that is added to a state, with a name of its own, and a place in the project."""
    first = lane.raw if lane.raw is not None else lane.objects
    name = lane.nickname or (dataset_name(first.name)[0] if first.files else "image")
    name = distinct(name, [image.lane.nickname for image in state.images])
    image = SessionImage(state.added, replace(lane, nickname=name))
    taken = {one.inside for other in state.images for one in other.inputs.values()}
    stem = re.sub(r"[^\w-]+", "_", name)
    inputs = {role: input_of(_named(one), f"{stem}_{role}", taken) for role, one in image.by_role.items()}
    named = {role: replace(one, nickname=name) if one.inside else one for role, one in inputs.items()}
    return replace(image, inputs=named)


def check_fits(lane: Lane, project: Project) -> None:
    """Refuse an image whose objects a project would not classify.

    Raises
    ------
    ImageError, ProjectError
        If it is of another kind than those of the project.
    """
    if lane.role != project.role:
        message = (
            f"{lane.objects.name}: a {lane.role.replace('_', ' ')}: {project.path} is of the workflow "
            f"'{project.workflow}': expected a {project.role.replace('_', ' ')}"
        )
        raise ImageError(message)
    if project.forest is not None:
        project.check_columns(lane.objects.ndim, lane.channels, lane.objects.name)


def _named(image: Image) -> Image:
    """The image, without its files where their names do not say how they are stacked."""
    if len(image.files) < 2 or open_image(image.name).stored.shape == image.stored.shape:
        return image
    return replace(image, files=())


def distinct(name: str, taken: Collection[str]) -> str:
    """The name, with a number where another image has it."""
    wishes = chain([name], (f"{name}_{k}" for k in count(2)))
    return next(wish for wish in wishes if wish not in taken)
