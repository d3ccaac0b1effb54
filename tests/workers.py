"""Workers without processes: what crosses is pickled, tasks are done out of order, and some of them twice."""

import pickle
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from random import Random
from typing import Any

from objclass.compute.limits import Limits


class PickledWorkers:
    """Do all tasks here, as other processes would.

    Parameters
    ----------
    seed
        Of the order of the tasks, and of the choice of those that are done twice.
    count
        Number of processes; each has its own copy of what all tasks need.
    limits
        Memory and threads of each task.
    """

    def __init__(self, seed: int = 0, count: int = 3, limits: Limits | None = None) -> None:
        self.count, self.limits = count, limits or Limits()
        self._random = Random(seed)
        self._common: Any = None
        self._copies: list[Any] = []
        self.tasks = 0
        """How many were done."""

    def ordered(
        self, function: Callable[[Any, Any], Any], common: Any, items: Iterable[Any]
    ) -> Generator[Any, None, None]:
        """The results in the order of the items, some of which are under way at a time."""
        waiting = iter(items)
        while under_way := list(islice(waiting, 2 * self.count)):
            order = [*range(len(under_way)), self._random.randrange(len(under_way))]
            self._random.shuffle(order)
            results = {n: self._do(function, common, under_way[n]) for n in order}
            for n in range(len(under_way)):
                yield results[n]

    def _do(self, function: Callable[[Any, Any], Any], common: Any, item: Any) -> Any:
        if self._common is not common:
            self._common = common
            self._copies = [crossed(common) for _ in range(self.count)]
        self.tasks += 1
        return crossed(crossed(function)(self._random.choice(self._copies), crossed(item)))


def crossed(what: Any) -> Any:
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(what))
