"""The progress bar on the terminal."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from objclass.cli import printable

if TYPE_CHECKING:
    from objclass.core import Progress

log = logging.getLogger("objclass")


@contextmanager
def progress_bar(lanes: int, *, quiet: bool) -> "Iterator[Progress | None]":
    """A progress bar for the given number of lanes, messages above it; None where there is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    done: dict[str, float] = {}
    with logging_redirect_tqdm([log]), tqdm(total=lanes, unit="lane", leave=False) as bar:

        def update(name: str, share: float) -> None:
            bar.set_description(printable(name), refresh=False)
            bar.update(share - done.get(name, 0.0))
            done[name] = share

        yield update
