"""The projects of a run: what classifies objects, and what classifies pixels."""

from collections.abc import Callable

from objclass.batch.request import Request
from objclass.compute.context import Context
from objclass.errors import UsageError
from objclass.pixels.chain import PixelChain
from objclass.project.model import Project
from objclass.project.open import open_pixel_project
from objclass.project.pixel_model import PixelProject


def trained(
    project: Project | PixelProject, context: Context, *, anew: bool = False
) -> Project | PixelProject:
    """The project with all its classifiers, trained if they are missing, or anew."""
    if project.is_trained and not anew:
        return project
    from objclass.training.complete import completed  # costs a small run a tenth of its time

    return completed(project, context, anew=anew)


def compared(project: Project | PixelProject | None) -> Project:
    """The project with what objects are compared with to see how unlike those of the training they are.

    Raises
    ------
    ObjclassError
        If it does not hold that, or classifies no objects.
    """
    if not isinstance(project, Project):
        message = (
            "--novelty: compares objects with those of the training: give a --project that classifies objects"
        )
        raise UsageError(message)
    from objclass.training.novelty_of import with_novelty

    return with_novelty(project)


def pixel_chain(
    request: Request,
    project: Project | PixelProject | None,
    context: Context,
    train: Callable[[PixelProject, Context], Project | PixelProject] = trained,
) -> PixelChain | None:
    """What classifies pixels in this run, if anything does; ``train`` completes a project without its classifiers.

    Raises
    ------
    ObjclassError
        If the projects do not fit each other.
    """
    if isinstance(project, PixelProject):
        if request.pixel_project:
            message = f"--project {project.path}: expected an object classification beside --pixel_project"
            raise UsageError(message)
        return project.pixels
    if not request.pixel_project:
        return project.pixels if project is not None else None
    if project is not None and (project.role != "prediction_maps" or project.pixels is not None):
        message = f"--pixel_project: {project.path} is of the workflow '{project.workflow}': expected from prediction image"
        raise UsageError(message)
    _check_threshold(request, project)
    return train(open_pixel_project(request.pixel_project), context).pixels


def _check_threshold(request: Request, project: Project | None) -> None:
    """Refuse thresholds for other maps than probabilities from 0 to 1.

    Raises
    ------
    UsageError
        If there are no objects above such a threshold.
    """
    settings = project.threshold if project is not None else request.threshold
    thresholds = {"threshold": settings.threshold}
    if settings.method != "simple":
        thresholds["core_threshold"] = settings.core_threshold
    for name, value in thresholds.items():
        if value > 1:
            stored = (
                f"--{name} {value:g}" if project is None else f"{project.path} stores the {name} {value:g}"
            )
            message = (
                f"{stored}: expected at most 1, since the probabilities of --pixel_project {request.pixel_project} "
                "are from 0 to 1"
            )
            raise UsageError(message)
