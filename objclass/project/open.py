"""Open a project, whatever file it comes from."""

from objclass.project.model import Project


def open_project(path: str) -> Project:
    """Open a project, read-only.

    Raises
    ------
    ProjectError
        With what is wrong, in one line.
    """
    from objclass.project.ilp_read import read_project

    return read_project(path)
