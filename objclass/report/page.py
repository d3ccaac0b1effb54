"""A page: sections of numbers, tables, figures and pictures, rendered as one file of HTML that needs no network.

Everything on a page is text that is escaped, or a picture inside of the page; it has no script, and its content security
policy forbids everything that is not in the file. The same page is the same bytes.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any, ClassVar
from unicodedata import category

from objclass.version import __version__

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

PLAIN, RIGHT, WRONG, BAR = "plain", "right", "wrong", "bar"
"""Tones of a cell: no colour; shades for what is right and wrong, by the share; a bar as long as the share."""

MAXIMUM_NAME = 120
"""Characters of a text in a cell or a heading; the others are left out."""


@dataclass(frozen=True)
class Cell:
    """A text in a table, with a share (0 to 1) that its tone shows, and a detail, such as an interval."""

    text: str
    share: float = 0.0
    tone: str = PLAIN
    detail: str = ""


Rows = tuple[tuple[str | Cell, ...], ...]
"""Of a table: a text or a `Cell` for each column."""


@dataclass(frozen=True)
class Headline:
    """One of the numbers at the top: its name, the number, and what to know of it, such as its interval."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"

    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Parameters
    ----------
    caption
        What it shows.
    columns
        Heads of the columns.
    rows
        As `Rows`.
    texts
        Number of leading columns that are text; the others are numbers, aligned to the right.
    spanning
        A head over all columns but the first; ``""`` if there is none.
    """

    kind: ClassVar[str] = "table"

    caption: str
    columns: tuple[str, ...]
    rows: Rows
    texts: int = 1
    spanning: str = ""

    @property
    def cells(self) -> tuple[tuple[Cell, ...], ...]:
        """The rows, all cells as `Cell`."""
        return tuple(
            tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in self.rows
        )


@dataclass(frozen=True)
class Figure:
    """A plot.

    Parameters
    ----------
    svg
        Inline SVG of `objclass.report.figures`; the only text on a page that is not escaped.
    alt
        What it shows, for those who do not see it.
    caption
        The text below it.
    numbers
        The numbers behind it, folded away.
    """

    kind: ClassVar[str] = "figure"

    svg: str
    alt: str
    caption: str
    numbers: Table | None = None


@dataclass(frozen=True)
class Picture:
    """A thumbnail of an object.

    Parameters
    ----------
    png
        The picture.
    alt
        What it shows, for those who do not see it.
    caption, place
        Lines below it: what was predicted, and where it is found.
    """

    png: bytes
    alt: str
    caption: str
    place: str = ""

    @property
    def source(self) -> str:
        """The picture as an address that contains it."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Strip:
    """Pictures of one kind, such as the most typical objects of a class."""

    title: str
    lead: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """The pictures of a class, and the color of its outlines."""

    kind: ClassVar[str] = "gallery"

    name: str
    color: Color
    strips: tuple[Strip, ...]


@dataclass(frozen=True)
class Folded:
    """Parts that are shown, and printed, on demand."""

    kind: ClassVar[str] = "folded"

    summary: str
    parts: tuple["Part", ...]


Part = Text | Table | Figure | Gallery | Folded


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading."""

    title: str
    parts: tuple[Part, ...]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A page.

    Parameters
    ----------
    title, lead
        The heading, and a sentence that says what was done.
    cautions
        Sentences at the top: what to know before the numbers are believed.
    headlines
        The most important numbers.
    sections
        All else, in the order of reading.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    headlines: tuple[Headline, ...] = ()
    cautions: tuple[str, ...] = ()


def rendered(page: Page) -> bytes:
    """The page as HTML, in UTF-8."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("objclass.report"),
        autoescape=True,
        finalize=_legible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shortened"] = shortened
    html = environment.get_template("page.html.j2").render(page=page, version=__version__)
    return html.encode()


def _legible(value: Any) -> Any:
    """A text as `legible`; other values, and what is escaped already, as they are."""
    return legible(value) if type(value) is str else value


def legible(text: str) -> str:
    r"""A text without control characters and halves of letters, which pages cannot hold; names of files have any.

    Examples
    --------
    >>> legible("a\x00µ")
    'a�µ'
    """
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if category(c) in ("Cc", "Cs", "Cn") else c for c in text)


def shortened(text: str, maximum: int = MAXIMUM_NAME) -> str:
    """A text of at most so many characters, without its middle where it is longer.

    Examples
    --------
    >>> shortened("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= maximum:
        return text
    head = maximum // 2
    return f"{text[:head]}…{text[len(text) - (maximum - 1 - head) :]}"
