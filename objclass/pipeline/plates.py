"""Plates: the fields of OME-Zarr plates are lanes; well and field are their metadata."""

import logging
import os
from collections.abc import Mapping, Sequence

from objclass.errors import UsageError, listed
from objclass.images.formats.zarr_store import plate_fields
from objclass.images.paths import kind, natural, split_internal
from objclass.images.urls import is_url, parse_url
from objclass.pipeline.pairing import LanePaths

log = logging.getLogger("objclass")

Place = tuple[str, str]
"""Paths of a well in its plate, and of a field in its well."""


def lanes_of_plates(paths: Mapping[str, Sequence[str]]) -> tuple[LanePaths, ...]:
    """A lane for each field, if the images are plates; else none.

    Parameters
    ----------
    paths
        Role -> plates, in the same order. ``plate.zarr/labels/nuclei`` is the label image of this name in each field;
        another plate has the same wells and fields.

    Raises
    ------
    UsageError
        If only some of the images are plates, or they differ in wells and fields.
    ImageError
        If what a plate says of itself cannot be used.
    """
    plates = {role: _fields_of_all(given) for role, given in paths.items() if given}
    every = [
        (role, path, found)
        for role, of in plates.items()
        for path, found in zip(paths[role], of, strict=True)
    ]
    if not any(found for _, _, found in every):
        return ()
    other = next(((role, path) for role, path, found in every if not found), None)
    if other is not None:
        message = f"--{other[0]} {other[1]}: is no plate, but other images are: expected plates for all roles, or one field of each"
        raise UsageError(message)
    counts = {role: len(of) for role, of in plates.items()}
    if len(set(counts.values())) > 1:
        message = (
            f"{', '.join(f'{n} plates for --{role}' for role, n in counts.items())}: expected as many of each"
        )
        raise UsageError(message)
    lanes: list[LanePaths] = []
    for number in range(next(iter(counts.values()))):
        lanes += _lanes_of_plate(
            {role: of[number] for role, of in plates.items()}, alone=max(counts.values()) == 1
        )
    wells = {lane.metadata[:2] for lane in lanes}
    log.info("plates: %d fields of %d wells are lanes", len(lanes), len(wells))
    return tuple(lanes)


def _fields_of_all(paths: Sequence[str]) -> list[dict[Place, str]]:
    """`_fields` of each path; of URLs, where the first is no plate, none is: to ask servers takes long."""
    first = _fields(paths[0])
    if not first and all(map(is_url, paths)):
        return [first for _ in paths]
    return [first, *map(_fields, paths[1:])]


def _fields(path: str) -> dict[Place, str]:
    """The image of a role in each field of a plate; none if the path is not that of a plate."""
    if is_url(path):
        return _remote_fields(path)
    file, inside = split_internal(os.path.expanduser(path))
    if not os.path.isdir(file) or (inside and not inside.startswith("labels/")):
        return {}
    return {
        (well, field): "/".join(part for part in (file.rstrip("/" + os.sep), well, field, inside) if part)
        for well, field in plate_fields(file)
    }


def _remote_fields(url: str) -> dict[Place, str]:
    """`_fields` of the URL of a plate."""
    plate, inside = parse_url(url)
    if kind(url) != ".zarr" or (inside and not inside.startswith("labels/")):
        return {}
    return {
        (well, field): plate.of("/".join(part for part in (well, field, inside) if part))
        for well, field in plate_fields(str(plate))
    }


def _lanes_of_plate(images: Mapping[str, Mapping[Place, str]], *, alone: bool) -> list[LanePaths]:
    first, found = next(iter(images.items()))
    for role, others in images.items():
        missing = [
            next(of[place] for of in (found, others) if place in of) for place in found.keys() ^ others.keys()
        ]
        if missing:
            message = f"plates of --{first} and --{role} differ in their fields: only one has {listed(sorted(missing))}"
            raise UsageError(message)
    lanes = []
    for well, field in sorted(found, key=lambda place: [natural(part) for part in place]):
        paths = {role: of[well, field] for role, of in images.items()}
        plate = _plate_name(found[well, field])
        nickname = f"{_well_name(well)}_{field}".replace("/", "-")
        lanes.append(
            LanePaths(
                paths,
                f"field {nickname} of {plate}",
                nickname if alone else f"{plate}_{nickname}",
                (("plate", plate), ("well", _well_name(well)), ("field", field)),
            )
        )
    return lanes


def _plate_name(image: str) -> str:
    name = parse_url(image)[0].name if is_url(image) else os.path.basename(split_internal(image)[0])
    return name.removesuffix(".zarr").removesuffix(".ome")


def _well_name(path: str) -> str:
    """The usual name of a well.

    Examples
    --------
    >>> _well_name("A/1"), _well_name("H/12"), _well_name("B/03")
    ('A01', 'H12', 'B03')
    """
    row, _, column = path.partition("/")
    return f"{row}{int(column):02d}" if column.isdecimal() else f"{row}{column}"
