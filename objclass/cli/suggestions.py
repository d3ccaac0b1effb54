"""The table of objects to label next: how many, and where."""

import os

MAXIMUM_SUGGESTIONS = 1000
"""Maximum number of objects to label next."""


def suggestions_beside(project: str) -> str:
    """The usual path of the table, beside the project.

    Examples
    --------
    >>> suggestions_beside("a/cells.ilp")
    'a/cells_suggestions.csv'
    """
    return f"{os.path.splitext(project)[0]}_suggestions.csv"
