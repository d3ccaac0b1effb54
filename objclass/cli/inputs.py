"""Options that the run and training share: which images, and what their axes are."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from os.path import expanduser as expand_home
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from objclass.cli import CommandOptions
from objclass.errors import UsageError
from objclass.settings import ROLES, ThresholdSettings, knob

if TYPE_CHECKING:
    from objclass.core import PixelSize
    from objclass.pipeline.pairing import Inputs
    from objclass.pipeline.plan import FromFile


def many(text: str) -> Any:
    """An option of one or more values."""
    return knob(None, text, nargs="+", type=str, metavar="IMAGE")


@dataclass(frozen=True)
class InputOptions(CommandOptions):
    """Images that belong together, such as raw data and their segmentation, are a lane: the first image of
    each option is in the first lane, and so on. An image is a file, file.h5/dataset, the URL of an OME-Zarr on a server
    (s3://bucket/a.zarr, https://…), or a quoted glob of files that are a stack.
    """

    group: ClassVar[str] = "images"

    raw_data: Optional[list[str]] = many("raw images, one for each lane")
    segmentation_image: Optional[list[str]] = many("segmentations: each connected component is an object")
    prediction_maps: Optional[list[str]] = many("pixel probabilities: thresholds turn them into objects")
    label_image: Optional[list[str]] = many("label images: each value is an object")
    atlas: Optional[list[str]] = many(
        "label images of regions: the value at the centre of each object goes into the table"
    )
    prediction_mask: Optional[list[str]] = many("where this is 0, pixels are not classified: probability 0")
    manifest: Optional[str] = knob(
        None,
        "table of the lanes, CSV or TSV, in place of the options of images: columns of images (raw_data, "
        "segmentation_image …), nickname, pixel_size, input_axes, cutout_subregion; each other column goes into the table",
        metavar="FILE", type=expand_home,
    )  # fmt: skip
    pair: bool = knob(
        False,
        'each option of images is a pattern such as "in/*_raw.tif" (in quotes): files are lanes where the stars stand for '
        "the same; a file without a partner is refused",
    )
    input_axes: Optional[str] = knob(
        None, "axes of the images of a lane, in the order raw data, objects: such as yxc or zyx,zyxc; None: as the file says",
        metavar="AXES",
    )  # fmt: skip
    stack_along: str = knob(
        "z", "axis along which the files of a glob are stacked",
        choices=tuple("tzcyx"),
    )  # fmt: skip
    pixel_size: Optional[str] = knob(
        None,
        "size of a pixel: 0.65um, z=2.0,y=0.65,x=0.65um, or file (the size stored in the files). Without a project, "
        "regionprops are measured in this unit (default: in pixels); a project measures in pixels, and the size is "
        "only stored in the images (default: that of the files). Tables of other --table_columns than ilastik are in "
        "pixels, with columns in um besides",
        metavar="SIZE",
    )  # fmt: skip
    follow_links: bool = knob(
        False,
        "also read files that an image refers to: external links and virtual datasets of HDF5, symbolic links out of "
        "Zarr and N5, other folders of an OME-TIFF set",
    )


def read_inputs(options: InputOptions, *, ignore_training_axes: bool = False) -> "Inputs":
    """The options as `Inputs`."""
    from objclass.pipeline.pairing import Inputs, parse_axes

    paths = {name: getattr(options, name) or [] for name in ROLES}
    try:
        axes = parse_axes(options.input_axes or "")
    except UsageError as fault:
        message = f"--input_axes {fault}"
        raise UsageError(message) from None
    return Inputs(
        paths,
        axes,
        options.stack_along,
        ignore_training_axes,
        options.follow_links,
    )


def given_files(options: Any) -> list[str]:
    """Files that are read for training or evaluation, as far as they are known before images are opened."""
    several = [*(options.labels or ()), *(path for role in ROLES for path in getattr(options, role) or ())]
    return [*several, *([options.manifest] if options.manifest is not None else [])]


def with_lanes(options: InputOptions, inputs: "Inputs") -> "Inputs":
    """The images: of the manifest, of the patterns, of plates, or of the options, in their order.

    Raises
    ------
    UsageError
        If options contradict each other, or images cannot be paired.
    """
    if options.manifest is not None:
        from objclass.pipeline.manifest import read_manifest

        others = [*inputs.roles, *(["pair"] if options.pair else [])]
        if others:
            message = f"--{others[0]}: the images are those of --manifest {options.manifest}: leave it out"
            raise UsageError(message)
        return replace(inputs, lanes=read_manifest(options.manifest), manifest=options.manifest)
    if options.pair:
        from objclass.pipeline.patterns import match_files

        several = next((role for role in inputs.roles if len(inputs.paths[role]) > 1), None)
        if several is not None:
            message = f'{len(inputs.paths[several])} for --{several}: with --pair, expected one pattern, in quotes ("in/*.tif")'
            raise UsageError(message)
        patterns = {role: expand_home(inputs.paths[role][0]) for role in inputs.roles}
        return replace(inputs, paths={}, lanes=match_files(patterns))
    from objclass.pipeline.plates import lanes_of_plates

    of_plates = lanes_of_plates(inputs.paths)
    return replace(inputs, paths={}, lanes=of_plates) if of_plates else inputs


def check_thresholds(
    options: Any,
    *,
    needed: bool,
    why: str = "only prediction maps are thresholded, of --prediction_maps or --pixel_project",
    used: Collection[str] = (),
) -> None:
    """Refuse threshold options that would change nothing, or contradict each other.

    Parameters
    ----------
    options
        All options.
    needed
        Whether anything is thresholded.
    why
        Why an option would change nothing.
    used
        Options that have another meaning here.
    """
    given = [f.name for f in fields(ThresholdSettings) if f.name in options.given and f.name not in used]
    if given and not needed:
        message = f"--{given[0]}: {why}"
        raise UsageError(message)
    if needed:
        options.check_cores(options.given)


def read_pixel_size(text: str | None) -> "PixelSize | FromFile | None":
    """``0.65um``, ``z=2.0,y=0.65,x=0.65um`` or ``file``."""
    if text is None:
        return None
    if text == "file":
        return "file"
    from objclass.core import PixelSize

    try:
        return PixelSize.parse(text)
    except UsageError as fault:
        message = f"--pixel_size {fault}; or file"
        raise UsageError(message) from None
