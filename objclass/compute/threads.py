"""Work that several threads share, with results in the order of the items."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from objclass.errors import check_signals

Item = TypeVar("Item")

Result = TypeVar("Result")


def ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int = 1,
    drop: Callable[[Result], object] | None = None,
) -> Generator[Result, None, None]:
    """``function`` of each item, by so many threads, returned in the order of the items.

    At most one result more than there are threads waits to be taken; results that are never taken, since
    the caller stops or an earlier one failed, are told to ``drop``.
    """
    if jobs == 1:
        for item in items:
            check_signals()
            yield function(item)
        return
    waiting: deque[Future[Result]] = deque()

    def take() -> Result:
        result = waiting[0].result()  # may be interrupted: until it is here, it is one of those left
        waiting.popleft()
        return result

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                check_signals()
                waiting.append(pool.submit(function, item))
                if len(waiting) > jobs:
                    yield take()
            while waiting:
                yield take()
        finally:
            left = [future for future in waiting if not future.cancel()]
            for future in left:
                if future.exception() is None and drop is not None:
                    drop(future.result())
