"""A run as a command line, and the run itself: both follow from one `Request`."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from subprocess import list2cmdline

from objclass.batch.request import Request
from objclass.settings import ROLES, ExportSettings

PLAIN = re.compile(r"[\w:./\\-]+")
"""Arguments that no shell of Windows changes."""


def command_of(request: Request, *, is_windows: bool = os.name == "nt") -> str:
    """The command line that does what a request says; it may be pasted into a shell.

    Parameters
    ----------
    request
        What `request_of` has made; threads and memory are left to the machine, since results do not depend on them.
    is_windows
        Whether it is for a shell of Windows.
    """
    words = ["objclass", *arguments_of(request)]
    return " ".join(map(_quoted_for_windows, words)) if is_windows else shlex.join(words)


def _quoted_for_windows(word: str) -> str:
    quoted = list2cmdline([word])
    return quoted if quoted.startswith('"') or PLAIN.fullmatch(quoted) else f'"{quoted}"'


def arguments_of(request: Request) -> list[str]:
    """The arguments of ``objclass`` for a request."""
    return ["--headless", *_inputs(request), *_images(request), *_tables(request)]


def _inputs(request: Request) -> Iterator[str]:
    yield from _option("project", request.project)
    for role in ROLES:
        if paths := request.inputs.paths.get(role):
            yield from (f"--{role}", *paths)
    if request.inputs.ignore_training_axes:
        yield "--ignore_training_axistags"
    if isinstance(request.pixel_size, str):
        yield from _option("pixel_size", request.pixel_size)


def _images(request: Request) -> Iterator[str]:
    if request.table_only:
        yield "--table_only"
    for source in request.sources:
        yield from _option("export_source", source)
    for field in fields(ExportSettings):
        value = getattr(request.export, field.name)
        if isinstance(value, str):
            yield from _option(field.name, value)


def _tables(request: Request) -> Iterator[str]:
    yield from _option("table_filename", request.table)
    if request.profile != Request.profile:
        yield from _option("table_columns", request.profile)
    yield from _option("summary_filename", request.summary)
    yield from _option("report", request.report)
    for path in request.objects:
        yield from _option("export_objects", path)


def _option(name: str, value: str | None) -> Sequence[str]:
    return (f"--{name}", value) if value is not None else ()
