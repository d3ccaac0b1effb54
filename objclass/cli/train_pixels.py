"""``objclass train --pixels``: a pixel classification from images and painted labels."""

import logging
import re
from argparse import ArgumentTypeError
from dataclasses import dataclass, fields
from os.path import expanduser as expand_home
from typing import Any, ClassVar, Optional

from objclass.cli.environment import resources
from objclass.cli.inputs import read_inputs
from objclass.cli.progress import reported
from objclass.errors import Stop, UsageError
from objclass.settings import ThresholdSettings, knob

log = logging.getLogger("objclass")

OF_OBJECTS = (
    "segmentation_image", "prediction_maps", "label_image", "atlas", "features", "margin", "allow_misses",
    "class_weight", "suggestions", "manifest", "pair", "report", "evaluation", "repeats", "folds", "group_by",
    *(f.name for f in fields(ThresholdSettings)),
)  # fmt: skip
"""Options that mean nothing for pixels."""


def parse_color(text: str) -> tuple[int, int, int]:
    """``e6194b`` or ``#e6194b`` -> red, green, blue."""
    found = re.fullmatch(r"#?([0-9a-fA-F]{6})", text)
    if found is None:
        message = f"'{text}': expected red, green and blue as six hexadecimal digits, such as e6194b"
        raise ArgumentTypeError(message)
    red, green, blue = bytes.fromhex(found[1])
    return red, green, blue


@dataclass(frozen=True)
class PixelTrainingOptions:
    """With --pixels, labels are sparse painted images, one for each raw image: 0 is unlabelled, classes are 1, 2, 3 …"""

    group: ClassVar[str] = "training of pixels"

    pixels: bool = knob(False, "train a pixel classification, from --raw_data and painted --labels")
    label_offset: Optional[str] = knob(
        None, "where smaller painted images begin in the raw images, such as y=100,x=20", metavar="OFFSET"
    )
    label_mapping: Optional[str] = knob(
        None,
        "painted values and their classes, such as 10=1,20=2; 0 leaves a value out (default: values are classes)",
        metavar="MAPPING",
    )
    pixel_features: Optional[list[str]] = knob(
        None,
        "filters, at scales: gaussian, laplacian, gradient, dog, structure, hessian, all, or ilastik's names, each "
        "with scales behind it or at all usual ones, such as gaussian:0.7,1.6 hessian (default: all, as far as the "
        "images are large enough)",
        nargs="+", type=str, metavar="NAME",
    )  # fmt: skip
    compute_in_2d: Optional[list[float]] = knob(
        None, "filter the planes of volumes one by one: at these scales, or at all", nargs="*", type=float,
        metavar="SCALE",
    )  # fmt: skip
    class_colors: Optional[list[tuple[int, int, int]]] = knob(
        None, "colours of the classes, in order, such as e6194b", nargs="+", type=parse_color, metavar="COLOR"
    )


@dataclass(frozen=True)
class SuggestionOptions:
    """What to label next."""

    group: ClassVar[str] = "what to label next"

    suggest: Optional[str] = knob(
        None,
        "write a table of so many objects to label next, which are uncertain and unlike each other, and which --labels takes "
        "once classes are filled in; with --pixels an image of the uncertainty of each raw image, under this name (with "
        "{nickname} in it where there are several): 0 is sure, 1 is a tie",
        type=expand_home, metavar="N",
    )  # fmt: skip
    suggestions: Optional[str] = knob(
        None,
        "the table of --suggest (default: PROJECT_suggestions.csv beside the project)",
        type=expand_home, metavar="FILE.csv",
    )  # fmt: skip


def train_pixels(options: Any, stop: Stop) -> int:
    """Train, say what was learned."""
    _check(options)
    from objclass.compute.context import Context
    from objclass.training.pixels import PixelTrainingRequest, train_pixels
    from objclass.training.strokes import read_mapping, read_offset

    request = PixelTrainingRequest(
        options.project,
        read_inputs(options),
        options.labels,
        tuple(options.class_names or ()),
        tuple(options.class_colors or ()),
        read_offset(options.label_offset) if options.label_offset else {},
        read_mapping(options.label_mapping) if options.label_mapping else None,
        tuple(options.pixel_features or ()),
        options.compute_in_2d,
        options.trees,
        options.seed,
        options.output,
        options.overwrite,
        options.suggest,
    )
    with reported(len(request.labels), quiet=options.quiet) as progress:
        context = Context.of(
            resources(options), progress=progress, stop=stop, follow_links=options.follow_links
        )
        learned = train_pixels(request, context)
    counts = ", ".join(f"{name} {count}" for name, count in learned.counts.items())
    log.info(
        "%s: trained on %d pixels of %d image%s, %d channels each: %s",
        request.target, sum(learned.counts.values()), learned.images, "s" * (learned.images > 1), learned.channels, counts,
    )  # fmt: skip
    log.info(
        "out-of-bag accuracy %.3f (of painted pixels, whose neighbours were learned: expect less on others)",
        learned.out_of_bag,
    )
    if learned.by_image is not None:
        recalls = ", ".join(f"{name} {part:.3f}" for name, part in learned.recalls.items())
        log.info("accuracy %.3f on images that were left out of training: %s", learned.by_image, recalls)
    return 0


def _check(options: Any) -> None:
    """Refuse options that mean nothing for pixels."""
    for name in OF_OBJECTS:
        if name in options.given:
            message = (
                f"--{name}: is for training of objects; with --pixels, give --raw_data and painted --labels"
            )
            raise UsageError(message)
    if "prediction_mask" in options.given:
        message = "--prediction_mask: is for runs: painted pixels count wherever they are"
        raise UsageError(message)
    for name in ("pixel_features", "compute_in_2d"):
        if options.output is not None and name in options.given:
            message = f"--{name}: is stored in {options.project}"
            raise UsageError(message)
