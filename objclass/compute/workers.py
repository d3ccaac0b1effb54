"""Workers: processes of this machine or of others that compute parts of a run."""

from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, TypeVar

from objclass.compute.limits import Limits

Item = TypeVar("Item")

Result = TypeVar("Result")


class Workers(Protocol):
    """Processes that compute for a run.

    What crosses is plain data that pickles: open files, writers and caches stay in the process where they were made. A
    process may die at any moment; its tasks are then done again by another one, so a task may be done more than
    once, at the same time even: it changes nothing but files of its own, which get their names when they are complete.
    """

    @property
    def count(self) -> int:
        """Number of tasks that are done at once."""

    @property
    def limits(self) -> Limits:
        """Memory and threads of each task."""

    def ordered(
        self, function: Callable[[Any, Item], Result], common: Any, items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """``function(common, item)`` for each item; the results in the order of the items.

        A small number of tasks is under way at a time. Closing the generator cancels those that have not begun.

        Parameters
        ----------
        function
            Defined in a module.
        common
            What all tasks need. It crosses once to each process, which keeps it as long as the run uses the same
            object here: a task may keep caches in it.
        items
            What each task does.

        Raises
        ------
        LaneError
            If a task cannot be done: it ends its process again and again.
        """
