"""Names of classes: which are suitable, and the list of them."""

import unicodedata
from collections.abc import Collection, Iterable, Sequence

from objclass.errors import InputError, UsageError, listed
from objclass.export.tables.text import FORMULA_STARTS
from objclass.project.model import MAXIMUM_CLASSES


def name_fault(name: str, what: str = "class") -> str | None:
    r"""A message about an unsuitable name of a class or something else, None if it is suitable.

    Examples
    --------
    >>> name_fault("mitotic\tcell")
    "class 'mitotic\\tcell' contains a tab: expected plain text on one line"
    """
    if not name:
        return f"no {what}"
    wrong = next((c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")), None)
    if wrong is None:
        return None
    known = {"\t": "a tab", "\n": "a line break", "\r": "a line break"}
    mark = known.get(wrong, f"the control character U+{ord(wrong):04X}")
    return f"{what} {name!r} contains {mark}: expected plain text on one line"


def checked_name(name: str, line: str, what: str = "class") -> str:
    """The name of a class, without space around it.

    Parameters
    ----------
    name
        The name.
    line
        Where it is written, for the message.
    what
        What is named, for the message.

    Raises
    ------
    InputError
        If it is not suitable.
    """
    name = name.strip()
    if fault := name_fault(name, what):
        message = f"labels {line}: {fault}"
        raise InputError(message)
    return name


def numbered_name(number: int, names: Sequence[str], line: str, what: str) -> str:
    """The name of the class of a number; ``Class 3`` where the classes have no names yet.

    Parameters
    ----------
    number
        From 1.
    names
        Names of the classes; empty: they have none yet.
    line, what
        Where the number is, and what is numbered, for the message.

    Raises
    ------
    InputError
        If there is no such class.
    """
    if not 1 <= number <= MAXIMUM_CLASSES:
        message = (
            f"labels {line}: {what} {number}: expected classes 1, 2, 3 …: is it a label image of objects?"
        )
        raise InputError(message)
    if number > len(names) > 0:
        message = f"labels {line}: {what} {number}, but {len(names)} class names"
        raise InputError(message)
    return names[number - 1] if names else f"Class {number}"


def class_list(used: Collection[str], names: Sequence[str], *, numbered: bool) -> tuple[str, ...]:
    """Names of the classes, in order.

    Parameters
    ----------
    used
        The names that occur in labels.
    names
        The classes where they are given; empty: those that occur, numbers by value, before words.
    numbered
        Whether labels gave classes by numbers.

    Raises
    ------
    InputError
        If a label is of a class that is not in the list, or there are too many classes.
    """
    if not names and numbered:
        names = _numbered(used)
    classes = tuple(names) or tuple(sorted(used, key=_natural))
    unknown = sorted(set(used) - set(classes))
    if unknown:
        message = f"labels of class {listed(unknown)}: --class_names has {', '.join(classes)}"
        raise InputError(message)
    if len(classes) > MAXIMUM_CLASSES:
        message = f"{len(classes)} classes: expected at most {MAXIMUM_CLASSES} (is class a column of ids?)"
        raise InputError(message)
    return classes


def _numbered(used: Collection[str]) -> tuple[str, ...]:
    """``Class 1`` to the largest class that occurs."""
    numbers = {f"Class {k}": k for k in range(1, MAXIMUM_CLASSES + 1)}
    others = sorted(set(used) - set(numbers))
    if others:
        message = (
            f"labels give classes by numbers and by names ({listed(others)}): give --class_names, whose order says "
            "which number each has"
        )
        raise InputError(message)
    return tuple(numbers)[: max((numbers[name] for name in used), default=0)]


def check_names(classes: Sequence[str]) -> None:
    """Refuse names of classes that could not be distinguished in a project or a table.

    Raises
    ------
    UsageError
        If there is one; the message names it.
    """
    for name in classes:
        if fault := name_fault(name):
            message = f"--class_names: {fault}"
            raise UsageError(message)
    if len(set(classes)) < len(classes):
        message = f"--class_names {' '.join(classes)}: expected different names"
        raise UsageError(message)


def check_formulas(names: Iterable[tuple[str, str]], known: Collection[str] = ()) -> None:
    """Refuse names of new classes that a spreadsheet would run as formulas in the tables of a run.

    Parameters
    ----------
    names
        Where a name is written, for the message, and the name.
    known
        The classes that a project has already.

    Raises
    ------
    InputError
        If there is one; the message names it.
    """
    for place, name in names:
        if name.startswith(FORMULA_STARTS) and name not in known:
            message = f"{place}: class '{name}' begins with '{name[0]}', which a spreadsheet would run as a formula: give it another name"
            raise InputError(message)


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by value, before words."""
    return (not name.isdecimal(), float(name) if name.isdecimal() else 0.0, name)
