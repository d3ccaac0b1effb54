"""Time spent in the parts of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter


class Timings(dict[str, float]):
    """Seconds by name, summed over all threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count the time of the block under a name."""
        start = perf_counter()
        try:
            yield
        finally:
            self.add(name, perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds under a name."""
        with self._lock:
            self[name] = self.get(name, 0.0) + seconds
