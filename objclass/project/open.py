"""Open a project, whatever file it comes from."""

from dataclasses import replace

from objclass.project.model import Project
from objclass.project.pixel_model import PIXEL_WORKFLOWS, PixelProject


def check_workflow(path: str) -> str:
    """The name of the workflow of a project; nothing else of it is read.

    Raises
    ------
    ProjectError
        If the file is no project, or one of a workflow that is not run here, in one line.
    """
    from objclass.project.ilp_read import workflow_of

    return workflow_of(path)


def open_project(path: str) -> Project:
    """Open an object classification project, read-only; with its pixel classifier if it has one.

    Raises
    ------
    ProjectError
        If it cannot be opened; the message says why in one line.
    """
    from objclass.project.ilp_pixels import read_chain
    from objclass.project.ilp_read import read_project

    project = read_project(path)
    return replace(project, pixels=read_chain(path)) if project.classifies_pixels else project


def open_pixel_project(path: str) -> PixelProject:
    """Open a pixel classification project, read-only.

    Raises
    ------
    ProjectError
        If it cannot be opened; the message says why in one line.
    """
    from objclass.project.ilp_pixels import read_pixel_project

    return read_pixel_project(path)


def open_any(path: str) -> Project | PixelProject:
    """Open a project of any workflow that is run here.

    Raises
    ------
    ProjectError
        If it cannot be opened; the message says why in one line.
    """
    return open_pixel_project(path) if check_workflow(path) in PIXEL_WORKFLOWS else open_project(path)
