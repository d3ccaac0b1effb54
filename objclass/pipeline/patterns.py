"""The folder rule: files of several patterns are paired by what the stars in the patterns stand for."""

import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from glob import escape, glob

from objclass.errors import UsageError, listed
from objclass.images.paths import IGNORES_CASE, natural, split_internal
from objclass.images.urls import is_url
from objclass.pipeline.pairing import LanePaths

log = logging.getLogger("objclass")

_FLAGS = re.IGNORECASE if IGNORES_CASE else re.NOFLAG

Key = tuple[str, ...]
"""What each star stands for."""


def match_files(patterns: Mapping[str, str]) -> tuple[LanePaths, ...]:
    """The lanes whose files fit the patterns, in the order of what the stars stand for (``2`` before ``10``).

    Parameters
    ----------
    patterns
        Role -> the path of its files, each with as many ``*``; a star stands for any letters of a name, but no ``/``. What
        follows a container (``.h5/raw``) is the array in each of them.

    Raises
    ------
    UsageError
        If a file has no partner, or might have several; the message names all such files.
    """
    remote = next((pattern for pattern in patterns.values() if is_url(pattern)), None)
    if remote is not None:
        message = f"--pair: {remote}: servers are not searched for patterns: list the images in a --manifest"
        raise UsageError(message)
    stars = {role: split_internal(pattern)[0].count("*") for role, pattern in patterns.items()}
    if min(stars.values()) == 0 or len(set(stars.values())) > 1:
        counts = ", ".join(f"{n} in --{role} {patterns[role]}" for role, n in stars.items())
        message = f"--pair: stars: {counts}: expected at least one, and as many in each pattern (in quotes)"
        raise UsageError(message)
    found = {role: _files(role, pattern) for role, pattern in patterns.items()}
    faults = [*_in_several(found), *_ambiguous(patterns, found), *_alone(found)]
    if faults:
        count = len(set.intersection(*(set(files) for files in found.values())))
        message = f"--pair: {count} lanes are complete, but {listed(faults)}"
        raise UsageError(message)
    keys = sorted(next(iter(found.values())), key=lambda key: ([natural(part) for part in key], key))
    log.info("--pair: %d lanes, the stars stand for %s", len(keys), listed("/".join(key) for key in keys))
    return tuple(
        LanePaths({role: files[key] for role, files in found.items()}, f"lane {'/'.join(key)}")
        for key in keys
    )


def _files(role: str, pattern: str) -> dict[Key, str]:
    """The files that fit a pattern, by what its stars stand for.

    Raises
    ------
    UsageError
        If there are none.
    """
    file, internal = split_internal(pattern)
    file = re.sub(f"{re.escape(os.sep)}+", lambda _: os.sep, file)  # as glob returns them
    names = glob("*".join(escape(piece) for piece in file.split("*")))
    if not names:
        message = f"--{role} {pattern}: no file matches"
        raise UsageError(message)
    arrays = f"/{internal}" if internal else ""
    return {_key(file, name): name + arrays for name in names}


def _key(pattern: str, name: str, star: str = "([^/]*)") -> Key:
    match = _expression(pattern, star).fullmatch(_plain(name))
    assert match is not None, (pattern, name)
    return match.groups()


@cache
def _expression(pattern: str, star: str) -> re.Pattern[str]:
    return re.compile(star.join(re.escape(_plain(piece)) for piece in pattern.split("*")), _FLAGS)


def _plain(path: str) -> str:
    return path.replace(os.sep, "/")


def _in_several(found: Mapping[str, Mapping[Key, str]]) -> list[str]:
    """Files that fit the patterns of several roles."""
    roles: dict[str, list[str]] = {}
    for role, files in found.items():
        for name in files.values():
            roles.setdefault(name, []).append(f"--{role}")
    return [f"{name} fits {' and '.join(of)}" for name, of in sorted(roles.items()) if len(of) > 1]


def _ambiguous(patterns: Mapping[str, str], found: Mapping[str, Mapping[Key, str]]) -> list[str]:
    """Files whose stars may be read in several ways, where these lead to other partners.

    They do not where all patterns have the same text between their stars.
    """
    if len({tuple(split_internal(pattern)[0].split("*")[1:-1]) for pattern in patterns.values()}) == 1:
        return []
    return [
        f"the stars of --{role} may be read in several ways in {name}"
        for role, files in found.items()
        for key, name in sorted(files.items())
        if key != _key(split_internal(patterns[role])[0], split_internal(name)[0], "([^/]*?)")
    ]


def _alone(found: Mapping[str, Mapping[Key, str]]) -> list[str]:
    """Files that have no partner in some role."""
    every = sorted({key for files in found.values() for key in files})
    faults = []
    for key in every:
        missing = [f"--{role}" for role, files in found.items() if key not in files]
        if missing:
            name = next(files[key] for files in found.values() if key in files)
            faults.append(f"{name} has no {' and no '.join(missing)}")
    return faults
