"""Pairing: which images make a lane, by their paths alone; no image is opened here."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from objclass.core import AXES, PixelSize
from objclass.errors import UsageError, listed
from objclass.images.paths import dataset_name, public, same_file_key
from objclass.images.urls import is_url
from objclass.pipeline.metadata import find_metadata
from objclass.pixels.chain import PixelChain
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject
from objclass.settings import ROLES

log = logging.getLogger("objclass")

OBJECT_ROLES = ("segmentation_image", "prediction_maps", "label_image")
"""Roles of the image that defines the objects."""

MAXIMUM_ROLES = 3
"""Raw data, objects, atlas."""

Trained = Project | PixelProject | None
"""What was trained, if anything."""


@dataclass(frozen=True)
class LanePaths:
    """The paths of the images of one lane, and what was given for this lane alone.

    Parameters
    ----------
    paths
        Role -> the image.
    origin
        The place where the lane was given, for messages: ``"lane 3"``.
    nickname
        Empty: that of the image.
    metadata
        Columns of the table: pairs of a name and a text.
    axes
        As in `Inputs`; empty: those of the run.
    pixel_size, cutout
        None: those of the run.
    """

    paths: Mapping[str, str]
    origin: str
    nickname: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    axes: tuple[str | None, ...] = ()
    pixel_size: PixelSize | None = None
    cutout: tuple[Any, Any] | None = None

    @property
    def image(self) -> str:
        """The image that the lane is named after: raw data, else the objects."""
        return next(self.paths[role] for role in ROLES if role in self.paths)

    @property
    def name(self) -> str:
        """The nickname."""
        return self.nickname or dataset_name(self.image)[0]


@dataclass(frozen=True)
class Inputs:
    """The images given for each role, lane after lane.

    Parameters
    ----------
    paths
        Role -> one entry for each lane.
    axes
        Axes of the first role, the second, …; a single entry is for all roles. None, or no entry: those of the
        file. Empty: no axes are given, and those of the training lane are used.
    stack_along
        The axis along which the files of a glob are stacked.
    ignore_training_axes
        Whether axes are taken from the files, not from the training lane.
    follow_links
        Whether files may refer to other files.
    channel
        The channel of segmentations and label images that shows the objects. None: they have only one.
    lanes
        The lanes, where they are given one by one instead of by ``paths``; all have the same roles.
    manifest
        The file that they come from, if any: no output may replace it.
    metadata_regex
        A regular expression whose named groups are metadata; it is searched in the nickname of each lane, or in its
        path where the expression has ``/`` in it.
    """

    paths: Mapping[str, Sequence[str]]
    axes: tuple[str | None, ...] = ()
    stack_along: str = "z"
    ignore_training_axes: bool = False
    follow_links: bool = False
    channel: int | None = None
    lanes: tuple[LanePaths, ...] = ()
    manifest: str | None = None
    metadata_regex: str | None = None

    @property
    def roles(self) -> list[str]:
        """The roles that are given."""
        given = self.lanes[0].paths if self.lanes else self.paths
        return [role for role in ROLES if given.get(role)]

    @property
    def count(self) -> int:
        """The number of lanes, if they are complete."""
        return len(self.lanes) or max((len(paths) for paths in self.paths.values()), default=0)

    def axes_of(self, role: str) -> str | None:
        """The axes that were given for a role, None if there are none."""
        if len(self.axes) == 1:
            return self.axes[0]
        place = {"raw_data": 0, "atlas": 2}.get(role, 1)
        return self.axes[place] if place < len(self.axes) else None


def parse_axes(text: str) -> tuple[str | None, ...]:
    """The axes of each role, as in `Inputs`.

    Raises
    ------
    UsageError
        If an entry is not made of letters of tzyxc, each once, with x and y, or there are more than roles.

    Examples
    --------
    >>> parse_axes("zyx,zyxc"), parse_axes("None,yx"), parse_axes("")
    (('zyx', 'zyxc'), (None, 'yx'), ())
    """
    entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
    axes = tuple(None if entry in ("None", "") else entry for entry in entries)
    for letters in filter(None, axes):
        if set(letters) - set(AXES) or len(set(letters)) != len(letters) or not {"x", "y"} <= set(letters):
            message = f"{letters}: expected letters of {AXES}, each once, with x and y"
            raise UsageError(message)
    if len(axes) > MAXIMUM_ROLES:
        message = f"{text}: more entries than roles: expected {MAXIMUM_ROLES} at most"
        raise UsageError(message)
    return axes


def pair(inputs: Inputs, project: Trained, chain: PixelChain | None = None) -> list[LanePaths]:
    """The lanes of a run: which images belong together.

    With a ``chain``, the prediction maps are computed from raw data; with a pixel project alone they are the result.

    Raises
    ------
    UsageError
        If roles are missing or not those of the workflow, an image has no partner, or a lane is given twice.
    """
    role, needed, optional = _roles(inputs, project, chain)
    for missing in (name for name in (role, *needed) if inputs.lanes and name not in inputs.roles):
        message = f"{inputs.lanes[0].origin}: no {missing}: expected an image for each lane"
        raise UsageError(message)
    lanes = list(inputs.lanes) or _zipped(inputs.paths, role, needed, optional)
    _refuse_repeated(lanes)
    return lanes if inputs.metadata_regex is None else _with_metadata(lanes, inputs.metadata_regex)


def _roles(
    inputs: Inputs, project: Trained, chain: PixelChain | None
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The role that each lane has, the others that it needs, and those that it may have.

    Raises
    ------
    UsageError
        If there are images for a role that the workflow does not have.
    """
    if chain is not None:
        given = [role for role in OBJECT_ROLES if role in inputs.roles]
        if given:
            message = (
                f"--{given[0]}: the pixel classifier of {chain.path} looks at raw data alone: leave it out"
            )
            raise UsageError(message)
        return "raw_data", (), ("atlas", "prediction_mask")
    assert not isinstance(project, PixelProject)
    if "prediction_mask" in inputs.roles:
        message = "--prediction_mask: is an option of Pixel Classification: pixels are not classified here"
        raise UsageError(message)
    is_raw = project is not None or "raw_data" in inputs.roles
    return object_role(inputs, project), ("raw_data",) if is_raw else (), ("atlas",)


def object_role(inputs: Inputs, project: Project | None) -> str:
    """The role of the images that define the objects.

    Raises
    ------
    UsageError
        If a role is given that the workflow does not have, or none, or several.
    """
    given = [role for role in OBJECT_ROLES if role in inputs.roles]
    if project is not None:
        wrong = [role for role in given if role != project.role]
        if wrong:
            message = (
                f"--{wrong[0]}: {project.path} is of the workflow '{project.workflow}', whose inputs are "
                f"--raw_data and --{project.role}"
            )
            raise UsageError(message)
        return project.role
    if len(given) != 1:
        options = " and ".join(f"--{role}" for role in given) or "none"
        message = (
            f"{options} given: without --project, expected one of "
            f"{', '.join(f'--{role}' for role in OBJECT_ROLES)}"
        )
        raise UsageError(message)
    return given[0]


def _zipped(
    paths: Mapping[str, Sequence[str]], role: str, needed: Sequence[str], optional: Sequence[str]
) -> list[LanePaths]:
    """The first image of each role is in the first lane, and so on."""
    objects = paths.get(role, ())
    for other in (*needed, *optional):
        others = paths.get(other, ())
        if len(others) == len(objects):
            _warn_of_order({other: others, role: objects})
        if len(others) == len(objects) or (other in optional and not others):
            continue
        counts = f"{len(others)} for --{other} and {len(objects)} for --{role}"
        alone = _without_partner({other: others, role: objects})
        if other in optional:
            message = f"{counts}: expected as many, or none{alone}"
        else:
            message = (
                f"{counts}: expected as many of each, one for each lane{alone} "
                '(a glob in quotes, "stack/*.png", is one lane; without quotes, a lane for each file)'
            )
        raise UsageError(message)
    given = [name for name in (*needed, role, *optional) if paths.get(name)]
    return [
        LanePaths(dict(zip(given, images, strict=True)), f"lane {number}")
        for number, images in enumerate(zip(*(paths[name] for name in given), strict=True), 1)
    ]


def _without_partner(lists: Mapping[str, Sequence[str]]) -> str:
    """A part of a message: the images without a partner, as far as their names show it."""
    keys = {role: _varying(paths) for role, paths in lists.items()}
    first, second = (set(own) for own in keys.values())
    is_clear = all(len(set(own)) == len(own) for own in keys.values()) and first & second
    if not is_clear:
        return ""
    alone = [
        path
        for role, paths in lists.items()
        for path, key in zip(paths, keys[role], strict=True)
        if key not in first & second
    ]
    return f"; by their names, these have no partner: {listed(alone)}"


def _warn_of_order(lists: Mapping[str, Sequence[str]]) -> None:
    """Warn if two lists name the same things in different orders."""
    first, second = (_varying(paths) for paths in lists.values())
    if len(first) > 1 and first != second and len(set(first)) == len(first) and set(first) == set(second):
        number = next(n for n, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
        log.warning(
            "%s are in different orders by their names: %s (--pair goes by names, lists by their order)",
            " and ".join(f"--{role}" for role in lists),
            " is paired with ".join(public(paths[number]) for paths in lists.values()),
        )


def _varying(paths: Sequence[str]) -> list[str]:
    """The part of each path that differs from the others; numbers are not cut.

    Examples
    --------
    >>> _varying(["in/cell10_raw.tif", "in/cell11_raw.tif"])
    ['10', '11']
    """
    if len(paths) < 2:
        return list(paths)
    prefix = os.path.commonprefix(paths).rstrip("0123456789")  # noqa: RUF071  letters, not components, are meant
    rests = [path[len(prefix) :] for path in paths]
    suffix = os.path.commonprefix([rest[::-1] for rest in rests])[::-1].lstrip("0123456789")  # noqa: RUF071
    return [rest.removesuffix(suffix) for rest in rests]


def _with_metadata(lanes: Sequence[LanePaths], expression: str) -> list[LanePaths]:
    """The lanes, with the named groups of a regular expression as further metadata."""
    is_of_path = "/" in expression
    names = [_whole_path(lane.image) if is_of_path else lane.name for lane in lanes]
    found = find_metadata(expression, names)
    clash = next((name for lane in lanes[:1] for name, _ in lane.metadata if name in found[0]), None)
    if clash is not None:
        message = f"--metadata_regex '{expression}': the lanes have metadata '{clash}' already: name the group otherwise"
        raise UsageError(message)
    return [
        replace(lane, metadata=(*lane.metadata, *groups.items()))
        for lane, groups in zip(lanes, found, strict=True)
    ]


def _whole_path(image: str) -> str:
    return public(image) if is_url(image) else os.path.abspath(image).replace(os.sep, "/")


def _refuse_repeated(lanes: Sequence[LanePaths]) -> None:
    """Refuse lanes of the same images.

    Raises
    ------
    UsageError
        If there are any; the message names them.
    """
    first: dict[tuple[str, ...], LanePaths] = {}
    repeated = []
    for lane in lanes:
        key = (*(same_file_key(os.path.abspath(path)) for path in lane.paths.values()), repr(lane.cutout))
        other = first.setdefault(key, lane)
        if other is not lane:
            repeated.append(f"{lane.origin} and {other.origin} ({next(iter(lane.paths.values()))})")
    if repeated:
        message = f"the same images twice: {listed(repeated)}: give each lane once"
        raise UsageError(message)
