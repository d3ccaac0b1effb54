"""Open a project, whatever file it comes from."""

from objclass.project.model import Project


def check_workflow(path: str) -> None:
    """Refuse a file that is no project, or one of a workflow that is not run here; nothing else is read.

    Raises
    ------
    ProjectError
        With what is wrong, in one line.
    """
    from objclass.project.ilp_read import workflow_of

    workflow_of(path)


def open_project(path: str) -> Project:
    """Open a project, read-only.

    Raises
    ------
    ProjectError
        With what is wrong, in one line.
    """
    from objclass.project.ilp_read import read_project

    return read_project(path)
