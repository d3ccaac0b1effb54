"""Train what a project was saved without."""

from dataclasses import replace
from typing import overload

from objclass.compute.context import Context
from objclass.project.ilp_pixels import read_pixel_part
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject
from objclass.training.pixels import retrained_pixels
from objclass.training.retrain import retrained


@overload
def completed(project: Project, context: Context, *, anew: bool = False) -> Project: ...
@overload
def completed(project: PixelProject, context: Context, *, anew: bool = False) -> PixelProject: ...
def completed(
    project: Project | PixelProject, context: Context, *, anew: bool = False
) -> Project | PixelProject:
    """The project with classifiers of pixels and objects, trained on its own labels where they are missing.

    Parameters
    ----------
    project, context
        The project; memory and threads.
    anew
        Train also the classifier that it has, of the objects where there are both.

    Raises
    ------
    ProjectError
        If there are no labels, or the images that were labelled are not found.
    """
    if isinstance(project, PixelProject):
        return retrained_pixels(project, context, anew=anew)
    if project.classifies_pixels and project.pixels is None:
        part = retrained_pixels(read_pixel_part(project.path), context)
        project = replace(project, pixels=part.pixels)
    return retrained(project, context) if anew or project.forest is None else project
