"""Where the time went."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Timings(dict[str, float]):
    """Seconds by name, summed over all threads."""

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """What is done now counts under a name."""
        start = perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + perf_counter() - start
