"""What is said of errors: a sentence that names what the window shows, not options of the command line."""

import logging
from contextlib import AbstractContextManager
from functools import partial

from objclass.door import translated, with_words
from objclass.errors import ObjclassError

log = logging.getLogger("objclass")

in_words = partial(with_words, names={"allow_misses": "Open without them", "input_axes": "axes"})


def messages_in_words() -> AbstractContextManager[None]:
    """While functions of the session run, their errors are those of a window."""
    return translated(in_words)


def objects(count: int) -> str:
    """How many objects there are, in words."""
    return f"{count:,} object{'' if count == 1 else 's'}"


def sentence(fault: Exception) -> str:
    """What is said of an error. One that is not ours is a bug: its traceback is logged."""
    if isinstance(fault, ObjclassError):
        return in_words(str(fault))
    log.error("unexpected error in napari", exc_info=fault)
    return f"Unexpected {type(fault).__name__}: {fault} (a bug)"
