"""What is said of errors: a sentence that names what the window shows, not options of the command line."""

import logging
from contextlib import AbstractContextManager
from functools import partial

from objclass.door import translated, with_words
from objclass.errors import ObjclassError

log = logging.getLogger("objclass")

WORDS = {
    "allow_misses": "Open without them",
    "debug": "objclass inspect --debug",
    "follow_links": "objclass --follow_links",
    "input_axes": "axes",
    "max_memory": "the memory limit",
    "output_filename_format": "path of the images",
    "summary_filename": "the path of the summary",
    "table_columns": "columns",
    "table_filename": "the path of the table",
}
"""What the window calls an option; an option that it does not have is one of the command line. Others are the words of their names."""

in_words = partial(with_words, names=WORDS)


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
