"""Manifests: a table of lanes, one line for each; its columns are roles, settings of the lane, and metadata."""

import csv
import os
import re
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from glob import escape, has_magic
from io import StringIO
from pathlib import Path
from typing import TypeVar

from objclass.core import PixelSize
from objclass.errors import UsageError, listed
from objclass.images.paths import split_stack
from objclass.pipeline.pairing import LanePaths, parse_axes
from objclass.settings import ROLES, parse_subregion

SETTINGS = ("nickname", "pixel_size", "input_axes", "cutout_subregion")
"""Columns that are options of one lane; an empty cell leaves that of the run."""

SEPARATORS = "\t;,"

_SIMILARITY = 0.8
"""From here on, a name is taken for a known one that is misspelt, not for metadata."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_NO_NAME = re.compile(r"[/\\]|^\.{1,2}$")
"""A nickname is a part of names of files, and leads to no other folder."""

Value = TypeVar("Value")


def read_manifest(path: str) -> tuple[LanePaths, ...]:
    """The lanes of a manifest, in order.

    Parameters
    ----------
    path
        A table as text, UTF-8, with a header; separated by comma, semicolon or tab, as in its header. Relative paths
        of images start at its folder. Columns that are neither roles nor `SETTINGS` are metadata.

    Raises
    ------
    UsageError
        If it is no such table; the message names all lines that are wrong.
    """
    lines = _lines(path)
    number, header = next(lines, (1, []))
    _check_header(f"{path} line {number}", header)
    folder = os.path.dirname(path)
    lanes, faults = [], []
    for number, cells in lines:
        try:
            lanes.append(_lane(header, cells, f"{path} line {number}", folder))
        except UsageError as fault:
            faults.append(f"line {number}: {fault}")
    named = Counter(lane.nickname for lane in lanes if lane.nickname)
    faults += [f"{times} lanes have the nickname '{name}'" for name, times in named.items() if times > 1]
    if faults:
        message = f"{path}: {listed(faults)}"
        raise UsageError(message)
    if not lanes:
        message = f"{path}: has no lanes: expected a line for each below the header"
        raise UsageError(message)
    return tuple(lanes)


def _lines(path: str) -> Iterator[tuple[int, list[str]]]:
    """The lines with their numbers, cells without space around them; empty lines are left out.

    Raises
    ------
    UsageError
        If the file cannot be read, or is not such a text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as fault:
        message = f"--manifest {path}: {fault.strerror or fault}"
        raise UsageError(message) from fault
    except UnicodeDecodeError as fault:
        message = f"{path}: is not UTF-8 text (byte {fault.start}): save it as CSV in UTF-8"
        raise UsageError(message) from None
    rows = csv.reader(StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield rows.line_num, cells
    except csv.Error as fault:
        message = f"{path} line {rows.line_num}: {fault}"
        raise UsageError(message) from None


def _separator(text: str) -> str:
    """The most frequent separator of the first line."""
    first = text.lstrip("\n").partition("\n")[0]
    return max(SEPARATORS[::-1], key=first.count)


def _check_header(origin: str, header: Sequence[str]) -> None:
    """Refuse names of columns that are repeated or empty, or look like a misspelt role.

    Raises
    ------
    UsageError
        If there are any.
    """
    known = [*ROLES, *SETTINGS]
    repeated = [name for name, times in Counter(header).items() if times > 1 and name]
    faults = [f"column '{name}' is there twice" for name in repeated]
    if "" in header:
        faults.append(f"column {header.index('') + 1} has no name")
    for name in (name for name in header if name not in known):
        close = get_close_matches(re.sub(r"[\s-]+", "_", name.lower()), known, 1, _SIMILARITY)
        if close:
            faults.append(f"column '{name}': did you mean {close[0]}? (metadata need another name)")
    if not faults and not set(header) & set(ROLES):
        faults.append(f"no column of images: expected {', '.join(ROLES[:2])} …, not {listed(header)}")
    if faults:
        message = f"{origin}: {listed(faults)}"
        raise UsageError(message)


def _lane(header: Sequence[str], cells: Sequence[str], origin: str, folder: str) -> LanePaths:
    if len(cells) != len(header):
        message = f"{len(cells)} cells, expected {len(header)} as in the header"
        raise UsageError(message)
    row = dict(zip(header, cells, strict=True))
    odd = next((name for name, text in row.items() if _CONTROL.search(text)), None)
    if odd is not None:
        message = f"{odd}: has control characters in it, such as a line break: expected plain text"
        raise UsageError(message)
    empty = [name for name in ROLES if row.get(name) == ""]
    if empty:
        message = f"no {' and no '.join(empty)}: expected an image for each lane"
        raise UsageError(message)
    nickname = row.get("nickname", "")
    if _NO_NAME.search(nickname):
        message = f"nickname '{nickname}': expected a name without / and \\"
        raise UsageError(message)
    return LanePaths(
        {role: _beside(row[role], folder) for role in ROLES if role in row},
        origin,
        nickname,
        tuple((name, text) for name, text in row.items() if name not in (*ROLES, *SETTINGS)),
        _setting(row, "input_axes", parse_axes) or (),
        _setting(row, "pixel_size", PixelSize.parse),
        _setting(row, "cutout_subregion", parse_subregion),
    )


def _setting(row: Mapping[str, str], name: str, parse: Callable[[str], Value]) -> Value | None:
    """The value of a cell; None if it is empty."""
    try:
        return parse(row[name]) if row.get(name) else None
    except (UsageError, ArgumentTypeError) as fault:
        message = f"{name} {fault}"
        raise UsageError(message) from None


def _beside(image: str, folder: str) -> str:
    """The image of a cell; a relative path starts at the folder of the manifest."""
    if os.path.exists(os.path.join(folder, image)):
        return os.path.join(folder, image)
    pieces = [os.path.expanduser(piece) for piece in split_stack(image)]
    return os.pathsep.join(
        piece if "://" in piece else os.path.join(escape(folder) if has_magic(piece) else folder, piece)
        for piece in pieces
    )
