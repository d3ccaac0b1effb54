"""Labels of a table: a row for each object, which is given by its id or by a point in it."""

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from objclass.errors import InputError, listed
from objclass.training.labels.annotation import Annotation, Reading
from objclass.training.labels.classes import checked_name
from objclass.training.labels.given import SEVERAL, GivenLanes
from objclass.training.labels.napari import from_napari, is_napari, used_of_napari
from objclass.training.labels.rows import Row, Table, read_text_table
from objclass.training.labels.workbook import read_workbook

UNLABELLED = ("", "0")
"""A ``User Label`` of an object that is not labelled."""

IDS = ("labelimage_oid", "original_oid")

USED = ("class", "image", "timestep", *IDS, "x", "y", "z", "track")
"""Columns that say something of a label; others are ignored."""

SYNONYMS = {"t": "timestep"}

OF_A_RUN = {"frame": "timestep", "label": "labelimage_oid"}
"""Columns of the tables of a run in all profiles that have both."""

BY_HAND = ("user label", "user_label")
"""The columns of the tables of a run for classes that are given by hand."""


def read_table(path: str, given: GivenLanes) -> Reading:
    """Labels of a CSV or TSV file: ``class``, and ``labelimage_oid``, ``original_oid`` or ``x, y[, z]``.

    ``timestep`` (or ``t``) may be left out where there is one; ``image`` too (see `GivenLanes.of_file`). Rows
    without a class are ignored, as long as others have one. ``track`` says which objects of a movie
    are the same one. Points of napari are read as well.

    Raises
    ------
    InputError
        If a line cannot be used; the message names it and says why.
    """
    return _reading(read_text_table(path, _used), given)


def read_sheet(path: str, given: GivenLanes) -> Reading:
    """The same of the first sheet of a workbook (.xlsx)."""
    return _reading(read_workbook(path, _used), given)


def _used(columns: Sequence[str]) -> Collection[str]:
    """The columns that may say something of a label."""
    return used_of_napari(columns) if is_napari(columns) else {*USED, *SYNONYMS, *OF_A_RUN, *BY_HAND}


def _reading(table: Table, given: GivenLanes) -> Reading:
    if is_napari(table.columns):
        table = from_napari(table, given)
    table = _with_known_columns(table)
    _check_columns(table, given)
    rows, blank = _filled(table)
    absent, left_out = given.without_absent(table.path, (row.cells.get("image", "") for row in rows))
    if blank:
        left_out.append(f"{table.path}: {blank} rows without a class")
    return Reading(
        [_annotation(row, table.path, given) for row in rows if row.cells.get("image", "") not in absent],
        left_out,
    )


def _with_known_columns(table: Table) -> Table:
    """The table with the names of `USED` for columns of other names."""
    columns = table.columns
    names = dict(SYNONYMS)
    if set(OF_A_RUN) <= set(columns):
        names |= OF_A_RUN  # and where the centre is says no more: it may lie outside of the object
        names |= dict.fromkeys("xyz", "")
    by_hand = next((name for name in BY_HAND if name in columns), None)
    is_filled = by_hand is not None and any(row.cells[by_hand] not in UNLABELLED for row in table.rows)
    if by_hand is not None and ("class" not in columns or is_filled):
        names |= {"class": "", by_hand: "class"}
    return _renamed(table, names, by_hand)


def _renamed(table: Table, names: Mapping[str, str], by_hand: str | None) -> Table:
    """The table with other names of columns; those with an empty name are left out.

    Raises
    ------
    InputError
        If two columns that are used have one name.
    """
    named = [(names.get(name, name), name) for name in table.columns]
    for used in USED:
        headings = [name for new, name in named if new == used]
        if len(headings) > 1:
            message = (
                f"labels {table.path}: several columns are the {used} ({' and '.join(headings)}): keep one"
            )
            raise InputError(message)
    kept = [(new, name) for new, name in named if new in USED]
    unlabelled = UNLABELLED if names.get(by_hand or "") == "class" else ("",)
    rows = [
        Row(
            row.line,
            {new: _blank(row.cells[name], unlabelled if new == "class" else ()) for new, name in kept},
        )
        for row in table.rows
    ]
    return Table(table.path, [new for new, _ in named if new], rows)


def _blank(text: str, unlabelled: Sequence[str]) -> str:
    return "" if text in unlabelled else text


def _check_columns(table: Table, given: GivenLanes) -> None:
    """Refuse a table that lacks columns."""
    path, columns = table.path, set(table.columns)
    shown = listed(sorted(columns), 12)
    by_place = {"x", "y"} <= columns
    if "class" not in columns or not (by_place or columns & set(IDS)):
        message = (
            f"labels {path} have the columns '{shown}': expected class, and "
            "labelimage_oid or x, y (z), and timestep and image where there are several"
        )
        raise InputError(message)
    if "image" not in columns and given.of_file(path) in (None, SEVERAL):
        message = f"labels {path}: {len(given.lanes)} images are given, so a column image is needed"
        raise InputError(message)
    steps = max(given.shape(lane)[0] for lane in range(len(given.lanes)))
    if steps > 1 and "timestep" not in columns:
        message = (
            f"labels {path}: there are {steps} time steps, so a column timestep (or t) is needed; "
            f"its columns are {shown}"
        )
        raise InputError(message)
    renumbered = given.lanes[0].role == "label_image" and "labelimage_oid" in columns
    if renumbered and not columns & {"original_oid", "x"}:
        message = (
            f"labels {path}: labelimage_oid may mean the ids of your label image or those of the table of a run, "
            "which numbers objects anew: if they are ids of the label image, call the column original_oid; if they come "
            "from such a table, keep its column original_oid next to them"
        )
        raise InputError(message)


def _filled(table: Table) -> tuple[list[Row], int]:
    """The rows that have a class, and the number of those that have none.

    Raises
    ------
    InputError
        If none has.
    """
    filled = [row for row in table.rows if row.cells["class"]]
    if not filled:
        message = (
            f"labels {table.path}: no class is filled in: expected the name of a class in at least two rows"
        )
        raise InputError(message)
    return filled, len(table.rows) - len(filled)


def _annotation(row: Row, path: str, given: GivenLanes) -> Annotation:
    """The label of a row; time step and image are required where there are several."""
    number = partial(_cell, row)
    lane = given.number(row.cells.get("image", ""), path, row.line)
    steps, depth, *_ = given.shape(lane)
    label, original = (number(name, needed=False) for name in IDS)
    place = None
    if not (label or original) or (row.cells.get("x") and row.cells.get("y")):
        place = number("z", needed=depth > 1), number("y", needed=True), number("x", needed=True)
    track = row.cells.get("track", "")
    annotation = Annotation(
        lane,
        number("timestep", needed=steps > 1),
        checked_name(row.cells["class"], row.line),
        row.line,
        label,
        original,
        place,
        group=checked_name(track, row.line, "track") if track else "",
    )
    return given.checked(annotation)


def _cell(row: Row, column: str, *, needed: bool) -> int:
    """A number of a table, 0 if it is missing and not needed; coordinates are rounded to pixels."""
    text = row.cells.get(column, "")
    expected = "a number" if column in ("x", "y", "z") else "a whole number"
    try:
        value = float(text) if text or needed else 0.0
        if column not in ("x", "y", "z") and value != int(value):
            raise ValueError  # noqa: TRY301 (refused below)
        if column in IDS and text and value < 1:
            expected = "a number from 1 on (0 is background)"
            raise ValueError  # noqa: TRY301 (refused below)
        return math.floor(value + 0.5)
    except (ValueError, OverflowError):
        message = f"labels {row.line}: {column} '{text}': expected {expected}"
        raise InputError(message) from None
