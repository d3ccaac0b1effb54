"""Make what the documentation shows from what the program says: ``python docs/make.py``.

- ``reference.md``: options, features and columns, from settings and registry.
- ``images/cells.png``: the sample image and what the README's first command makes of it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from objclass import registry
from objclass.cli import main, progress
from objclass.cli.evaluate import EvaluateOptions
from objclass.cli.headless import HeadlessOptions
from objclass.cli.merge import MergeOptions
from objclass.cli.messages import FEW_LANES, FEW_WARNINGS
from objclass.cli.train import TrainOptions
from objclass.export.columns import Layout
from objclass.features.contract import feature_rows, feature_set
from objclass.project.model import COLORS
from objclass.project.open import open_project
from objclass.settings import help_of

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "sample_data"

COLUMNS = (
    ("object_id", "row number in its image, from 0"),
    ("timestep", "time step, from 0"),
    ("labelimage_oid", "value of the object's pixels in the image *Object Identities* of that time step"),
    ("User Label", "class that a user gave it; `0` for none"),
    ("Predicted Class", "the most probable class"),
    ("Probability of …", "for each class; their sum is 1"),
    ("Uncertainty", "1 less the gap between the two most probable classes: 0 is sure, 1 is a tie"),
    (
        "Novelty",
        "with a project that objclass has trained: distance to the nearest object of its training; above 1 it is novel",
    ),
    ("Image", "nickname of the image, or the shortest end of its path that tells images of one name apart"),
    ("metadata", "those of `--manifest`, `--metadata_regex` and plates, by their own names"),
    ("original_oid", "label images only: the id that the object has in the label image that was given"),
    (
        "AtlasMapping",
        "with `--atlas`: its value at the rounded centre of the object; `_0`, `_1`, … for several channels",
    ),
    (
        "Bounding Box Minimum/Maximum, Center of the object, Size in pixels",
        "always there, as in ilastik: `_0` is x, `_1` is y, `_2` is z; the maximum is the coordinate after the last",
    ),
    ("…", "the features of the project, by ilastik's names; `_0`, `_1`, … where one has several numbers"),
)

SUMMARY_COLUMNS = (
    ("image", "name of the image, as in the table"),
    ("…", "the metadata of the image, as in the table"),
    ("frame", "time step, from 0"),
    ("class", "name of the class; with a project only: without one there is a single row for all objects"),
    ("object_count", "number of objects"),
    ("share", "their part of the objects of this image and time step, 0 to 1; with a project only"),
    ("mean_size_px", "mean size in pixels (voxels)"),
    (
        "mean_size",
        "mean size in `size_unit`; the two columns are there if the pixel size of any image is known",
    ),
    ("size_unit", "`um2` for areas, `um3` for volumes; empty where the pixel size of the image is unknown"),
    ("mean_uncertainty", "mean of Uncertainty; with a project only"),
    ("novel_share", "the part of them whose Novelty is above 1; where the table has that column"),
)


def reference() -> str:
    """The page, from top to bottom."""
    return (
        "\n".join(
            [
                *head(),
                *options(),
                *formats(),
                *labels(),
                *columns(),
                *profiles(),
                *summary(),
                *messages(),
                *features(),
            ]
        )
        + "\n"
    )


def head() -> Iterator[str]:
    """What the page is."""
    yield "# Reference"
    yield ""
    yield "Made by `python docs/make.py` from what the program itself says; do not edit."


def options() -> Iterator[str]:
    """All options of all commands."""
    commands = {
        "objclass --headless": HeadlessOptions,
        "objclass train": TrainOptions,
        "objclass evaluate": EvaluateOptions,
        "objclass merge": MergeOptions,
    }
    for title, kind in commands.items():
        yield from ("", f"## `{title}`", "", "| option | what it says |", "|---|---|")
        shown = (f for f in fields(kind) if not f.metadata.get("hidden"))
        for knob in sorted(shown, key=lambda f: f.name):
            name = knob.name if knob.metadata.get("args") else f"--{knob.name}"
            choices = ", ".join(f"`{choice}`" for choice in knob.metadata.get("choices") or ())
            yield f"| `{name}` | {help_of(knob)}{choices and f': {choices}'} |"


def formats() -> Iterator[str]:
    """Names of formats."""
    yield from ("", "## Formats", "", "| | |", "|---|---|")
    yield f"| images that are read | {', '.join(f'`{s}`' for e in registry.image_formats() if e.reader for s in e.suffixes)} |"
    yield f"| images that are written | {', '.join(f'`{e.name}`' for e in registry.output_formats())} |"
    yield f"| tables | {', '.join(f'`{e.suffix}`' for e in registry.table_formats())} |"
    yield f"| objects for [other programs](how-to/other-programs.md) | {', '.join(f'`{s}`' for e in registry.object_formats() for s in e.suffixes)} |"


def labels() -> Iterator[str]:
    """Which files of labels are read."""
    yield from ("", "## Labels", "")
    yield "`--labels` takes files of any of these kinds together. What each must hold, and what is refused, stands in"
    yield "[Labels and training](training.md)."
    yield from ("", "| labels | files |", "|---|---|")
    for entry in registry.LABEL_FORMATS:
        yield f"| {entry.name} | {', '.join(f'`{suffix}`' for suffix in entry.suffixes)} |"
    yield "| projects | `.ilp` |"
    yield "| painted images | any image |"


def columns() -> Iterator[str]:
    """Columns of the table."""
    yield from ("", "## Columns of the table", "")
    yield "Bounding box, centre and size of each object are always there, with a project and without one."
    yield "Coordinates are pixel indices from 0, pixel centres at whole numbers. Their order is x, y(, z) in the sets of"
    yield "ilastik (Default, Standard, Convex Hull, Skeleton) and in tables of labels; it is that of scikit-image, (z,) y, x, in"
    yield "`regionprops` and `hull`."
    yield "What is not finite (the skewness of a single pixel) is an empty field."
    yield from ("", "| column | meaning |", "|---|---|")
    yield from (f"| {name} | {text} |" for name, text in COLUMNS)


def summary() -> Iterator[str]:
    """Columns of the summary."""
    yield from ("", "## Columns of the summary", "")
    yield "`--summary_filename summary.csv` writes one row for each image, time step and class, also where there are no objects:"
    yield "their number is 0 there, and share and means are empty fields. Like the table, it has the images in the order in which"
    yield "they were given."
    yield from ("", "| column | meaning |", "|---|---|")
    yield from (f"| {name} | {text} |" for name, text in SUMMARY_COLUMNS)


def messages() -> Iterator[str]:
    """Where messages go."""
    yield from ("", "## Messages", "")
    yield "Messages go to stderr; stdout stays empty. Each lane has a line with its number of objects and seconds, and one with the"
    yield f"files that it has alone; of more than {FEW_LANES} lanes, only the first and one at each tenth of the run are shown, and of more than"
    yield f"{FEW_WARNINGS} warnings of a kind the first. A run without a terminal says how far it is, at most every {progress.INTERVAL:.0f} seconds. At the end"
    yield "stand the lanes that are done, failed and not run, the objects of each class, seconds, peak memory and where the"
    yield "outputs are. `--quiet` leaves warnings and errors, `--debug` shows all. See [Counts, progress and log files](how-to/counts.md)."
    yield ""
    yield "`--logfile` and `--log_json` add to their files, and have all lanes and warnings, with `--quiet` as well. A line of JSON has"
    yield "`time` (ISO 8601, UTC), `level`, `message`, and `lane` where it is about one. Of a lane that is done or has failed it has"
    yield "`status` (`done`, `failed`), `number` and `lanes` (their number); of one that is done also `counts` (`objects` and each class),"
    yield "`seconds`, `stages` (seconds of each part) and `outputs`. The line at the end has `lanes`, `done`, `done_before` (by an earlier"
    yield "run, with `--resume`), `failed`, `not_run`, `counts`, `seconds` and `peak_memory` (bytes). Lines of progress have `progress` (0 to 1)."


def profiles() -> Iterator[str]:
    """Names of columns in all profiles but ilastik's."""
    mean = (feature_set("Standard Object Features") or {})["Mean"]
    layout = Layout(3, 2, (mean,), ("round",), ("well",), ("original_oid",))
    shown = [name for name in registry.TABLE_PROFILES if name != "ilastik"]
    names = {name: profile_names(name, layout) for name in shown}
    yield from ("", "## Profiles of columns", "")
    yield "What `--table_columns` calls them, here in 3D with a class `round`, metadata `well` and two channels;"
    yield "[Tables](how-to/tables.md) says more. What has no name in a profile has its tidy one."
    yield from ("", f"| meaning | {' | '.join(shown)} |", f"|{'---|' * (len(shown) + 1)}")
    for meaning in names["tidy"]:
        yield f"| {meaning} | {' | '.join(f'`{names[name][meaning]}`' for name in shown)} |"


def profile_names(profile: str, layout: Layout) -> dict[str, str]:
    """Definition of a column -> its name in a profile."""
    columns = registry.resolve(registry.TABLE_PROFILES[profile]).columns(layout)
    return {column.definition: column.name for column in columns}


def features() -> Iterator[str]:
    """All features, set by set."""
    rows = feature_rows()
    for name in registry.FEATURE_SETS:
        yield from ("", f"## Features: {name}", "", "| name | column | unit | defined for | definition |")
        yield "|---|---|---|---|---|"
        for row in (r for r in rows if r["set"] == name):
            dims = ", ".join(f"{d}D" for d in row["dims"])
            kind = {"any": "", "one": ", one channel", "many": ", several channels"}[row["channels"]]
            cells = [f"`{row['name']}`", row["column"], row["unit"], dims + kind, row["definition"]]
            yield "| " + " | ".join(cell.replace("|", chr(92) + "|") for cell in cells) + " |"


def picture() -> bytes:
    """The sample image beside its classes, in the project's colours, as PNG."""
    project = open_project(str(SAMPLES / "cells.ilp"))
    raw = tifffile.imread(SAMPLES / "cells.tif")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--headless", "--quiet", "--project", project.path, "--raw_data", f"{SAMPLES}/cells.tif"]
        arguments += ["--segmentation_image", f"{SAMPLES}/cells_segmentation.tif", "--output_format", "numpy"]
        arguments += ["--table_filename", f"{folder}/table.csv"]
        run([*arguments, "--output_filename_format", f"{folder}/classes"])
        classes = np.load(f"{folder}/classes.npy")[..., 0]
    grey = np.repeat(raw[..., None], 3, axis=-1)
    lut = np.array([(0, 0, 0), *project.colors], np.uint8)
    return bytes(imagecodecs.png_encode(np.hstack([grey, np.full_like(grey[:, :8], 255), lut[classes]])))


def pixels() -> bytes:
    """The strokes of the page on pixels, another image, its probabilities and its objects, as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "train",
            "--pixels",
            "--quiet",
            "--project",
            f"{folder}/p.ilp",
            "--raw_data",
            f"{SAMPLES}/cells_train.tif",
        ]
        run(
            [
                *arguments,
                "--labels",
                f"{SAMPLES}/cells_train_strokes.png",
                "--class_names",
                "background",
                "cell",
            ]
        )
        arguments = [
            "--headless",
            "--quiet",
            "--pixel_project",
            f"{folder}/p.ilp",
            "--raw_data",
            f"{SAMPLES}/cells.tif",
        ]
        arguments += ["--threshold", "0.5", "--channel", "1", "--min_size", "30", "--output_format", "numpy"]
        arguments += [
            "--export_object_identities_img",
            "--export_pixel_probability_img",
            "--table_filename",
            f"{folder}/t.csv",
        ]
        run([*arguments, "--output_filename_format", f"{folder}/{{result_type}}"])
        objects = np.load(f"{folder}/Object Identities.npy")[..., 0]
        cell = np.load(f"{folder}/Pixel Probabilities.npy")[..., 1]
    train, other = (tifffile.imread(SAMPLES / f"{name}.tif") for name in ("cells_train", "cells"))
    strokes = imagecodecs.png_decode((SAMPLES / "cells_train_strokes.png").read_bytes())
    painted = np.repeat(train[..., None], 3, axis=-1)
    painted[strokes == 1], painted[strokes == 2] = COLORS[2], COLORS[3]
    lut = np.array([(0, 0, 0), *COLORS], np.uint8)
    found = lut[np.where(objects > 0, (objects - 1) % len(COLORS) + 1, 0)]
    greys = [np.repeat(image[..., None], 3, axis=-1) for image in (other, (cell * 255).astype(np.uint8))]
    gap = np.full_like(painted[:, :8], 255)
    return bytes(imagecodecs.png_encode(np.hstack([painted, gap, greys[0], gap, greys[1], gap, found])))


def run(arguments: list[str]) -> None:
    """A command of objclass that must succeed."""
    if main(arguments) != 0:
        raise SystemExit(1)


if __name__ == "__main__":
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
    (HERE / "images").mkdir(exist_ok=True)
    (HERE / "images" / "cells.png").write_bytes(picture())
    (HERE / "images" / "pixels.png").write_bytes(pixels())
