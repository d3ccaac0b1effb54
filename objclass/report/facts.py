"""What every report says of its origin, and words that several reports have."""

from collections.abc import Sequence

from objclass.report.page import Folded, Section, Table, Text

MAXIMUM_ROWS = 200
"""Rows of a table: what is more is counted, so that pages can be read."""

Facts = Sequence[tuple[str, Sequence[str]]]
"""Name of a fact -> its lines, such as inputs and their digests."""


def facts_section(facts: Facts) -> Section:
    """Parameters and provenance; facts of several lines are folded."""
    rows = tuple((name, lines[0]) for name, lines in facts if len(lines) == 1)
    lists = [_list(name, lines) for name, lines in facts if len(lines) > 1]
    table = Table("What this page was made from", ("fact", "value"), rows, texts=2)
    return Section("Parameters and provenance", (table, *lists))


def _list(name: str, lines: Sequence[str]) -> Folded:
    table = Table(name, (name,), tuple((line,) for line in lines[:MAXIMUM_ROWS]))
    return Folded(f"{name} ({len(lines):,})", (table, *left_out(len(lines))))


def left_out(total: int, maximum: int = MAXIMUM_ROWS) -> tuple[Text, ...]:
    """What to say of the rows that a table leaves out."""
    return (Text(f"… and {total - maximum:,} more."),) if total > maximum else ()


def counted(n: int, noun: str, nouns: str = "") -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "image"), counted(2000, "class", "classes")
    ('1 image', '2,000 classes')
    """
    return f"{n:,} {noun if n == 1 else nouns or f'{noun}s'}"
