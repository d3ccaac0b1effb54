"""Where a project has the images that it was trained on."""

import os
from collections.abc import Collection
from itertools import chain, count
from pathlib import Path

from objclass import images
from objclass.core import Image
from objclass.images.paths import joined_to, split_stack
from objclass.images.urls import is_url
from objclass.project.model import Project, TrainingInput
from objclass.project.pixel_model import PixelProject


def stored_path(project: Project | PixelProject, given: TrainingInput) -> str:
    """Where an image of a project is, seen from here."""
    if given.inside:
        return f"{project.path}/{given.inside.strip('/')}"
    return joined_to(str(Path(project.path).resolve().parent), given.path)


def input_of(image: Image, wish: str, taken: Collection[str] = ()) -> TrainingInput:
    """What a project says of an image that is open: files by their absolute paths, arrays by a place inside of it.

    Parameters
    ----------
    image
        The image.
    wish
        Name of an array.
    taken
        Names of datasets that are inside of the project already.
    """
    shape = image.stored.shape
    if not image.files:
        name = inside_name(wish, taken)
        return TrainingInput(name, image.axes, shape, wish, name)
    path = os.pathsep.join(
        piece if is_url(piece) else os.path.abspath(piece) for piece in split_stack(image.name)
    )
    return TrainingInput(path, image.axes, shape, images.dataset_name(path)[0])


def inside_name(wish: str, taken: Collection[str]) -> str:
    """The name of a dataset for an image inside of a project, with a number where the wish is taken."""
    first = f"Input Data/local_data/{wish}"
    return next(name for name in chain([first], (f"{first}_{k}" for k in count(2))) if name not in taken)
