"""Metadata from names: the named groups of a regular expression."""

from collections.abc import Sequence

from objclass.errors import UsageError, listed

SECONDS = 1.0
"""Time that the search of one name may take; some expressions would take years."""

MAXIMUM_LENGTH = 1000
"""Of an expression, in characters."""


def find_metadata(expression: str, names: Sequence[str]) -> list[dict[str, str]]:
    """The text of each named group in each name; empty where a group takes no part.

    Parameters
    ----------
    expression
        A regular expression in the syntax of Python, to be found anywhere in a name.

    Raises
    ------
    UsageError
        If it is no such expression, has no named group, does not fit a name, or takes too long.
    """
    import regex  # unlike re, it keeps to a limit of time

    option = f"--metadata_regex '{expression}'"
    if len(expression) > MAXIMUM_LENGTH:
        message = f"--metadata_regex of {len(expression)} characters: expected {MAXIMUM_LENGTH} at most"
        raise UsageError(message)
    try:
        pattern = regex.compile(expression)
        matches = [pattern.search(name, timeout=SECONDS) for name in names]
    except regex.error as fault:
        message = f"{option}: {fault.msg}: expected a regular expression such as (?P<well>[A-H][0-9]+)"
        raise UsageError(message) from None
    except TimeoutError:
        message = f"{option}: takes longer than {SECONDS:g} s for a name: write it without repeats of repeats"
        raise UsageError(message) from None
    if not pattern.groupindex:
        message = f"{option}: has no named group, which would be a column: write (?P<well>[A-H][0-9]+)"
        raise UsageError(message)
    unfit = [name for name, match in zip(names, matches, strict=True) if match is None]
    if unfit:
        message = f"{option}: does not fit {listed(unfit)}"
        raise UsageError(message)
    return [match.groupdict(default="") for match in matches if match is not None]
