"""Training of pixels: painted labels of every kind, the same bytes, a project that ilastik opens."""

import dataclasses
import os
import shutil

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from objclass import images
from objclass.cli import main
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.errors import InputError, ProjectError
from objclass.forest import encode
from objclass.pipeline.pairing import Inputs
from objclass.pixels.chain import PixelChain
from objclass.pixels.classifier import segmentation, uncertainty
from objclass.pixels.features import FILTERS
from objclass.pixels.prediction import ComputedFeatures
from objclass.pixels.samples import labelled_rows
from objclass.pixels.selection import named, pixel_features, too_large, usual
from objclass.project.ilp_pixels import read_pixel_project
from objclass.project.ilp_pixels_write import write_pixel_project
from objclass.project.pixel_model import Strokes
from objclass.training import strokes as strokes_module
from objclass.training.pixels import (
    PixelTrainingRequest,
    check_retrainable_pixels,
    retrained_pixels,
    train_pixels,
)
from objclass.training.strokes import joined

SHAPE = (40, 48)
TRUTH = np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, 1, 2) * np.ones(SHAPE, np.uint8)
"""Left smooth, right grainy."""

SMALL = ("--pixel_features", "gaussian:0.7,1.6", "gradient:1", "hessian:1.6", "--trees", "10")


def textures(seed):
    rng = np.random.default_rng(seed)
    return (100 + rng.normal(size=SHAPE) * np.where(TRUTH == 1, 3, 40)).clip(0, 255).astype(np.uint8)


def brush():
    """A stroke in each half."""
    paint = np.zeros(SHAPE, np.uint8)
    paint[5:30, 8:11] = 1
    paint[10:13, 28:44] = 2
    return paint


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        tifffile.imwrite(f"{name}.tif", textures(ord(name)))
        tifffile.imwrite(f"{name}_brush.tif", brush() if name == "a" else brush()[::-1])
    return tmp_path


def train(*more, raws="a", labels=None, project="new.ilp", small=True):
    labels = labels or [f"{name}_brush.tif" for name in raws]
    inputs = ["--raw_data", *(f"{name}.tif" for name in raws)] if raws else []
    return main(["train", "--pixels", "--project", project, *inputs, "--labels", *labels,
                 *(SMALL if small else ()), *more])  # fmt: skip


def painted(project, number=0, shape=SHAPE):
    """The labels of a lane as one image (z, y, x)."""
    found = np.zeros((1, 1, *shape, 1), np.uint8)
    for part in project.stages[0].strokes[number]:
        assert not (found[part.region] & part.labels).any()
        found[part.region] = part.labels
    return found[0, 0, ..., 0]


def same_forest(a, b):
    """The same trees, however their nodes are numbered."""
    pairs = zip(encode(a), encode(b), strict=True)
    return all(np.array_equal(p, q) for one, other in pairs for p, q in zip(one, other, strict=True))


def forest_of(path):
    (trained,) = read_pixel_project(path).classifiers()
    return trained.forests[0]


def test_from_two_images_to_a_project_that_predicts(here, capsys):
    assert train("--class_names", "smooth", "grain", "--class_colors", "ff0000", raws="ab") == 0
    told = capsys.readouterr().err.splitlines()
    assert "trained on 246 pixels of 2 images, 5 channels each: smooth 150, grain 96" in told[0]
    assert "out-of-bag accuracy 0.9" in told[1]
    assert "expect less" in told[1]
    assert "on images that were left out of training: smooth" in told[2]
    assert len(told) == 3

    project = read_pixel_project("new.ilp")
    assert project.classes == ("smooth", "grain")
    assert project.stages[0].colors[0] == (255, 0, 0)
    assert [lane["raw_data"].path for lane in project.lanes] == ["a.tif", "b.tif"]
    assert np.array_equal(painted(project, 0), brush())
    assert np.array_equal(painted(project, 1), brush()[::-1])
    (trained,) = project.classifiers()
    found = segmentation(PixelChain((trained,), "").probabilities(images.open_image("b.tif")).read())[0, 0]
    assert (found == TRUTH).mean() > 0.85


def test_what_is_written_is_read_back(here):
    """All parts of a project of three classes, of which one has no labels, and of two lanes, of which one has none."""
    assert train("--class_names", "a", "b", "c", "--label_mapping", "1=1,2=3") == 0
    project = read_pixel_project("new.ilp")
    assert project.stages[0].classifier.known == (1, 3)
    other = dataclasses.replace(project, lanes=(*project.lanes, project.lanes[0]))
    write_pixel_project("again.ilp", other)
    again = read_pixel_project("again.ilp")
    before, after = project.stages[0], again.stages[0]
    assert (after.classes, after.colors) == (before.classes, before.colors)
    assert after.classifier.known == before.classifier.known
    assert same_forest(after.classifier.forests[0], before.classifier.forests[0])
    for name in ("filters", "scales", "in_planes"):
        assert getattr(after.features, name) == getattr(before.features, name)
    assert np.array_equal(after.features.selected, before.features.selected)
    assert [s.region for s in after.strokes[0]] == [s.region for s in before.strokes[0]]
    assert np.array_equal(painted(again), painted(project))
    assert (again.lanes, after.strokes[1]) == (other.lanes, [])
    assert again.export.output_format == "compressed hdf5"


def test_the_same_input_gives_the_same_bytes(here):
    assert train() == 0
    assert train("--jobs", "3", project="again.ilp") == 0
    assert (here / "new.ilp").read_bytes() == (here / "again.ilp").read_bytes()
    assert train("--seed", "5", project="other.ilp") == 0
    assert not same_forest(forest_of("new.ilp"), forest_of("other.ilp"))


@pytest.mark.parametrize("shape", [(1, 1, 60, 70, 2), (2, 1, 30, 40, 1), (1, 14, 30, 28, 1)])
def test_channels_are_computed_around_the_labels_only(shape, rng, monkeypatch):
    """Those of the whole image, in the order of its pixels, whatever the boxes."""
    image = images.from_array(rng.integers(0, 255, shape, np.uint8), "tzyxc")
    features = pixel_features(named(["gaussian:0.7", "structure:1", "hessian:1.6"]), None, shape[1])
    paint = np.where(rng.random((*shape[:4], 1)) < 0.01, rng.integers(1, 4, (*shape[:4], 1)), 0).astype(
        np.uint8
    )
    whole = ComputedFeatures(features, image).read(tuple(slice(0, n) for n in (*shape[:4], 99)))
    region = tuple(slice(0, n) for n in paint.shape)
    monkeypatch.setattr(strokes_module, "PLANE_TILE", (1, 1, 16, 16, 1))
    monkeypatch.setattr(strokes_module, "VOLUME_TILE", (1, 8, 16, 16, 1))
    blocks = [(part.region, part.labels) for part in joined([Strokes(region, paint)], image)]
    expected = whole[paint[..., 0] > 0], paint[paint > 0]
    for labels in ([(region, paint)], blocks):
        for context in (Context(), Context(Limits(1, None, 3))):
            rows, classes = labelled_rows(features, image, labels, context)
            assert np.array_equal(rows, expected[0])
            assert np.array_equal(classes, expected[1])


def test_reads_only_what_is_near_the_labels(rng):
    seen = []

    class Watched:
        shape, dtype = (1, 1, 4000, 4000, 1), np.dtype(np.uint8)

        def read(self, region):
            seen.append([part.stop - part.start for part in region[2:4]])
            return np.zeros([part.stop - part.start for part in region], np.uint8)

    image = dataclasses.replace(images.from_array(np.zeros((1, 1, 4, 4, 1)), "tzyxc"), stored=Watched())
    paint = np.ones((1, 1, 3, 5, 1), np.uint8)
    region = (slice(0, 1), slice(0, 1), slice(2000, 2003), slice(70, 75), slice(0, 1))
    labelled_rows(pixel_features(named(["gaussian:1.6"]), None, 1), image, [(region, paint)], Context())
    assert np.max(seen) < 50


def test_paint_is_read_in_slabs(rng):
    """Whatever the slabs, the same blocks, of which none is larger than what is painted in it."""
    paint = np.zeros((1, 1, 300, 20, 1), np.uint8)
    paint[0, 0, 40:44, 3:5], paint[0, 0, 250:260, 7] = 1, 2
    image = images.from_array(paint, "tzyxc")
    for limits in (Limits(), Limits(None, (1, 7))):
        blocks = joined(strokes_module.painted_strokes(image, {}, None, Context(limits)), image)
        assert [part.labels.shape for part in blocks] == [(1, 1, 216, 5, 1), (1, 1, 4, 1, 1)]


def test_labels_of_another_size_and_with_other_values(here):
    assert train() == 0
    cut = brush()[3:32, 5:46].astype(np.uint16)
    tifffile.imwrite("cut.tif", np.choose(cut, [0, 300, 7]))
    placed = ("--label_offset", "y=3,x=5", "--label_mapping", "300=1,7=2,9=0")
    assert train(*placed, labels=["cut.tif"], project="cut.ilp") == 0
    assert np.array_equal(painted(read_pixel_project("cut.ilp")), brush())
    assert same_forest(forest_of("new.ilp"), forest_of("cut.ilp"))


def test_labels_of_projects_are_taken_over(here):
    """Classes by name, images by their files; what is painted now counts more."""
    assert train("--class_names", "smooth", "grain") == 0
    assert (
        train("--class_names", "grain", "smooth", "--label_mapping", "1=2,2=1", raws="b", project="b.ilp")
        == 0
    )
    assert train(raws="", labels=["new.ilp", "b.ilp"], project="both.ilp") == 0
    project = read_pixel_project("both.ilp")
    assert project.classes == ("smooth", "grain")
    assert [lane["raw_data"].path for lane in project.lanes] == ["a.tif", "b.tif"]
    assert np.array_equal(painted(project, 1), brush()[::-1])
    assert train("--class_names", "smooth", "grain", raws="ab", project="at_once.ilp") == 0
    assert same_forest(forest_of("both.ilp"), forest_of("at_once.ilp"))

    more = np.zeros(SHAPE, np.uint8)
    more[5, 8], more[0, 0] = 2, 3
    tifffile.imwrite("more.tif", more)
    assert train(labels=["new.ilp", "more.tif"], project="more.ilp") == 0
    project = read_pixel_project("more.ilp")
    assert project.classes == ("smooth", "grain", "Class 3")
    assert np.array_equal(painted(project), np.where(more, more, brush()))


def test_labels_are_added_to_a_project(here):
    """Its features and its export settings stay, its images are further lanes."""
    assert train("--class_names", "smooth", "grain", "--class_colors", "010203", "040506") == 0
    os.mkdir("sub")
    with h5py.File("new.ilp", "a") as file:
        del file["Prediction Export/OutputFormat"]
        file["Prediction Export/OutputFormat"] = b"png"
    added = ("--output", "sub/added.ilp", "--trees", "10")
    assert train(*added, raws="b", small=False) == 0
    project = read_pixel_project("sub/added.ilp")
    assert [lane["raw_data"].path for lane in project.lanes] == ["../a.tif", "../b.tif"]
    assert project.stages[0].colors == ((1, 2, 3), (4, 5, 6))
    assert project.export.output_format == "png"
    assert train(raws="ab", project="at_once.ilp") == 0
    assert same_forest(forest_of("sub/added.ilp"), forest_of("at_once.ilp"))


def test_lanes_without_labels_and_prediction_masks_stay(here):
    """Also where a project of an old version says nothing of their shape."""
    assert train(raws="ab") == 0
    with h5py.File("new.ilp", "a") as file:
        del file["PixelClassification/LabelSets/labels001"]
        second = file["Input Data/infos/lane0001"]
        del second["Raw Data/shape"], second["Raw Data/axistags"]
        second.copy("Raw Data", second["Prediction Mask"].parent, name="Prediction Mask 2")
        del second["Prediction Mask"]
        second.move("Prediction Mask 2", "Prediction Mask")
    os.mkdir("sub")
    assert train("--output", "sub/added.ilp", "--trees", "10", small=False) == 0
    project = read_pixel_project("sub/added.ilp")
    assert {role: given.path for role, given in project.lanes[1].items()} == {
        "raw_data": "../b.tif", "prediction_mask": "../b.tif",
    }  # fmt: skip
    assert list(project.stages[0].strokes[1]) == []


def test_images_that_lie_inside_of_the_project(here):
    """They are trained on, and go along into what is added to."""
    assert train() == 0
    _put_inside("new.ilp", "a.tif")
    os.remove("a.tif")
    before = forest_of("new.ilp")
    stage = read_pixel_project("new.ilp").stages[0]
    again = retrained_pixels(_bare("new.ilp")).stages[0].classifier
    assert again.forests[0].columns == before.columns
    assert train("--output", "added.ilp", "--trees", "10", raws="b", small=False) == 0
    project = read_pixel_project("added.ilp")
    assert project.lanes[0]["raw_data"].inside == "Input Data/local_data/abc"
    assert np.array_equal(painted(project), painted(read_pixel_project("new.ilp")))
    assert retrained_pixels(_bare("added.ilp")).stages[0].features.scales == stage.features.scales


def test_images_inside_of_projects_go_along_into_the_one_that_takes_their_labels_over(here):
    """Each under its own name, also where two projects use the same; an image that is named twice is stored once."""
    for name in "ab":
        assert train(raws=name, project=f"{name}.ilp") == 0
        _put_inside(f"{name}.ilp", f"{name}.tif")
    assert train(raws="ab", project="at_once.ilp") == 0
    pixels = {"abc": tifffile.imread("a.tif"), "abc_2": tifffile.imread("b.tif")}
    os.remove("a.tif")
    os.remove("b.tif")
    assert train(raws="", labels=["a.ilp", "b.ilp", "./a.ilp"], project="both.ilp") == 0
    both = read_pixel_project("both.ilp")
    assert [lane["raw_data"].inside.rpartition("/")[2] for lane in both.lanes] == ["abc", "abc_2"]
    with h5py.File("both.ilp") as file:
        stored = file["Input Data/local_data"]
        assert {name: stored[name][()].tobytes() for name in stored} == {
            n: p.tobytes() for n, p in pixels.items()
        }
    assert same_forest(forest_of("both.ilp"), forest_of("at_once.ilp"))
    os.remove("b.ilp")
    again = retrained_pixels(_bare("both.ilp")).stages[0].strokes
    assert np.array_equal(again[1][0].labels, both.stages[0].strokes[1][0].labels)

    first = (here / "both.ilp").read_bytes()
    assert (
        train(
            "--output",
            "more.ilp",
            "--trees",
            "10",
            raws="",
            labels=["a.ilp"],
            project="both.ilp",
            small=False,
        )
        == 0
    )
    with h5py.File("more.ilp") as file:
        assert sorted(file["Input Data/local_data"]) == ["abc", "abc_2", "abc_3"]
    assert (here / "both.ilp").read_bytes() == first


@pytest.mark.parametrize("name", ["/Input Data/local_data/abc/", "workflowName", "."])
def test_the_name_of_an_image_inside_replaces_nothing_else(here, name, capsys):
    assert train() == 0
    _put_inside("new.ilp", "a.tif", name if name.startswith("/") else "Input Data/local_data/abc")
    with h5py.File("new.ilp", "a") as file:
        info = file["Input Data/infos/lane0000/Raw Data"]
        del info["inner_path"]
        info["inner_path"] = name.encode()
    capsys.readouterr()
    code = train(raws="", labels=["new.ilp"], project="other.ilp")
    assert code == (0 if name.startswith("/") else 2)
    assert capsys.readouterr().err.count("\n") == (2 if code == 0 else 1)
    assert os.path.exists("other.ilp") == (code == 0)


def _put_inside(project, path, name="Input Data/local_data/abc"):
    with h5py.File(project, "a") as file:
        info = file["Input Data/infos/lane0000/Raw Data"]
        file[name] = tifffile.imread(path)
        file[name].attrs["axistags"] = info["axistags"][()]
        for key in ("__class__", "location", "filePath"):
            del info[key]
        info["__class__"], info["location"] = b"ProjectInternalDatasetInfo", b"ProjectInternal"
        info["filePath"] = info["inner_path"] = name.encode()


def _bare(path):
    """A project without forests."""
    project = read_pixel_project(path)
    stages = (dataclasses.replace(stage, classifier=None) for stage in project.stages)
    return dataclasses.replace(project, stages=tuple(stages))


def test_a_project_without_a_forest_is_trained_again(here, caplog):
    assert train("--trees", "100", raws="ab") == 0
    before = forest_of("new.ilp")
    with h5py.File("new.ilp", "a") as file:
        del file["PixelClassification/ClassifierForests"]
    project = read_pixel_project("new.ilp")
    assert project.stages[0].classifier is None
    caplog.clear()
    again = retrained_pixels(project, Context(Limits(jobs=2)))
    assert same_forest(again.classifiers()[0].forests[0], before)
    (line,) = caplog.messages
    assert "trained again on 246 labelled pixels" in line
    assert retrained_pixels(again) is not again
    assert retrained_pixels(again).stages == again.stages

    check_retrainable_pixels(project)
    os.remove("b.tif")
    for refuse in (retrained_pixels, check_retrainable_pixels):
        with pytest.raises(ProjectError, match="takes the images that they were painted on: no such file"):
            refuse(project)
    nothing = dataclasses.replace(project.stages[0], strokes={0: []})
    with pytest.raises(ProjectError, match="no trained pixel classifier and no labels"):
        retrained_pixels(dataclasses.replace(project, stages=(nothing,)))


def test_the_second_stage_of_autocontext_looks_at_probabilities(here):
    assert train() == 0
    project = _bare("new.ilp")
    twice = retrained_pixels(dataclasses.replace(project, stages=project.stages * 2))
    assert [stage.classifier.columns for stage in twice.stages] == [5, 15]


def test_uncertainty_shows_where_to_paint(here):
    assert train("--suggest", "out/{nickname}_unsure.tif", raws="ab") == 0
    (trained,) = read_pixel_project("new.ilp").classifiers()
    expected = uncertainty(PixelChain((trained,), "").probabilities(images.open_image("b.tif")).read())[0, 0]
    assert np.array_equal(tifffile.imread("out/b_unsure.tif").squeeze(), expected)
    assert train("--suggest", "one.h5", "--overwrite") == 0
    with h5py.File("one.h5") as file:
        assert file["exported_data"].shape == SHAPE


def test_time_series_and_volumes(here, rng):
    """Labels in the axes of their images; of a volume, scales that do not fit are left out."""
    for axes, shape in (("tyx", (2, 20, 24)), ("zyx", (12, 20, 24))):
        with h5py.File("raw.h5", "w") as file:
            file["data"] = rng.integers(0, 255, shape, np.uint8)
            file["data"].attrs["axistags"] = images.attributes.axistags(axes)
        paint = np.zeros(shape, np.uint8)
        paint[1, 3:9, 4], paint[0, 10, 3:9] = 1, 2
        np.save("paint.npy", paint)
        assert main(["train", "--pixels", "--overwrite", "--project", "new.ilp", "--raw_data", "raw.h5/data", "--labels",
                     "paint.npy", "--trees", "5"]) == 0  # fmt: skip
        with h5py.File("new.ilp") as file:
            for block in file["PixelClassification/LabelSets/labels000"].values():
                assert block.ndim == 4
                assert f'"key": "{axes[0]}"' in block.attrs["axistags"]
        found = np.zeros(shape, np.uint8)
        for part in read_pixel_project("new.ilp").stages[0].strokes[0]:
            found[part.region[0] if axes[0] == "t" else part.region[1], part.region[2], part.region[3]] = (
                part.labels[0, ..., 0] if axes[0] == "z" else part.labels[:, 0, ..., 0]
            )
        assert np.array_equal(found, paint)


def test_the_usual_selection_as_far_as_it_fits(here, capsys):
    assert train("--trees", "3", small=False) == 0
    assert "scales 10 too large" not in capsys.readouterr().err
    features = read_pixel_project("new.ilp").stages[0].features
    assert features.count(1, 1) == 49
    assert all(features.in_planes)
    volume = pixel_features(usual(), None, 9)
    assert too_large(volume, (9, 100, 100)) == [3.5, 5.0, 10.0]
    assert too_large(pixel_features(usual(), [3.5, 5, 10], 9), (9, 100, 100)) == []
    assert pixel_features(usual(), [], 9).in_planes == (True,) * 7
    custom = pixel_features(named(["gaussian:2.2,0.7"]), None, 1)
    assert custom.scales == (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0, 2.2)
    assert custom.selected.sum() == 2


BAD = {
    "another shape": (["--raw_data", "a.tif", "--labels", "cut.tif"], "do not fit a.tif of shape (40, 48)"),
    "beyond the image": (["--raw_data", "a.tif", "--labels", "cut.tif", "--label_offset", "y=30"], "labels inside of it"),
    "one class": (["--raw_data", "a.tif", "--labels", "one.tif"], "only class 1 is painted"),
    "no labels": (["--raw_data", "a.tif", "--labels", "none.tif"], "nothing is painted"),
    "beyond the names": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--class_names", "x"], "class 2, but --class_names has 1: name all classes, or none"),
    "the raw image": (["--raw_data", "a.tif", "b.tif", "--labels", "a_brush.tif", "./a.tif"], "labels ./a.tif is a raw image"),
    "other names": (["--raw_data", "a.tif", "--labels", "given.ilp", "--class_names", "x", "y"], "--class_names x y: given.ilp has Class 1, Class 2, too"),
    "a mask": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--prediction_mask", "a.tif"], "--prediction_mask: is for runs"),
    "not in the mapping": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--label_mapping", "1=1"], "2 is not in --label_mapping (2=0"),
    "no mapping": (["--raw_data", "a.tif", "--labels", "large.tif"], "painted value 1000: expected classes 1, 2, 3"),
    "negative": (["--raw_data", "a.tif", "--labels", "negative.tif"], "painted value -2"),
    "fractions": (["--raw_data", "a.tif", "--labels", "half.tif"], "0.5 among its values: expected whole numbers"),
    "smeared": (["--raw_data", "a.tif", "--labels", "a_brush.jpg"], "JPEG smears values"),
    "colours": (["--raw_data", "a.tif", "--labels", "colours.tif"], "3 channels: expected one"),
    "too few": (["--raw_data", "a.tif", "b.tif", "--labels", "a_brush.tif"], "1 painted images for 2 raw images"),
    "twice": (["--raw_data", "a.tif", "./a.tif", "--labels", "a_brush.tif", "b_brush.tif"], "twice"),
    "of two kinds": (["--raw_data", "a.tif", "rgb.tif", "--labels", "a_brush.tif", "b_brush.tif"], "one forest learns from images of one kind"),
    "too small": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--pixel_features", "gaussian:20"], "scales 20 are too large for images of 40 × 48 pixels: give larger images or smaller scales"),
    "unknown filter": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--pixel_features", "sobel"], "unknown filter 'sobel'"),
    "no scale": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--pixel_features", "dog:x"], "scale 'x'"),
    "another scale in 2D": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--compute_in_2d", "7"], "expected scales of"),
    "two offsets": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--label_offset", "1,2"], "such as y=100,x=20"),
    "no mapping at all": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--label_mapping", "1"], "such as 10=1,20=2"),
    "for objects": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--margin", "3"], "is for training of objects"),
    "one name for two": (["--raw_data", "a.tif", "b.tif", "--labels", "a_brush.tif", "b_brush.tif", "--suggest", "u.tif"], "{nickname}"),
    "placeholder": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--suggest", "{nickname}{nicknmae}.tif"], "did you mean {nickname}?"),
    "no such format": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--suggest", "u.xyz"], "suffix '.xyz'"),
    "8 bits": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--suggest", "u.png"], "hold any image"),
    "over an input": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--suggest", "a.tif"], "would overwrite an input"),
    "too many colours": (["--raw_data", "a.tif", "--labels", "a_brush.tif", "--class_colors", "000000", "111111", "222222"], "3 --class_colors for 2"),
    "no project": (["--raw_data", "a.tif", "--labels", "nowhere.ilp"], "no such file"),
    "not finite": (["--raw_data", "nan.tif", "--labels", "a_brush.tif"], "not finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(here, capsys, case):
    tifffile.imwrite("cut.tif", brush()[:20])
    tifffile.imwrite("one.tif", np.minimum(brush(), 1))
    tifffile.imwrite("none.tif", np.zeros(SHAPE, np.uint8))
    tifffile.imwrite("large.tif", brush().astype(np.uint16) * 1000)
    tifffile.imwrite("negative.tif", -brush().astype(np.int16))
    tifffile.imwrite("half.tif", brush().astype(np.float32) / 2)
    tifffile.imwrite("colours.tif", np.repeat(brush()[..., None], 3, axis=-1))
    tifffile.imwrite("rgb.tif", np.repeat(textures(0)[..., None], 3, axis=-1))
    tifffile.imwrite("nan.tif", np.where(brush() == 1, np.nan, 1).astype(np.float32))
    (here / "a_brush.jpg").write_bytes(imagecodecs.jpeg_encode(brush()))
    arguments, told = BAD[case]
    if "given.ilp" in arguments:
        assert train(project="given.ilp") == 0
        capsys.readouterr()
    before = sorted(os.listdir())
    assert main(["train", "--pixels", "--project", "new.ilp", "--trees", "3", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert len([line for line in lines if "left out" not in line]) == 1
    assert sorted(os.listdir()) == before


BAD_RUNS = {
    "other channels": (["--project", "new.ilp", "rgb.tif", "--ignore_training_axistags"], "3 channels in 2D give 15 feature channels"),
    "too small": (["--project", "new.ilp", "small.tif"], "reach: give a larger image, or train without"),
    "a smaller mask": (["--project", "new.ilp", "a.tif", "--prediction_mask", "cut.tif"], "differ along y"),
    "a mask in colours": (["--project", "new.ilp", "a.tif", "--prediction_mask", "rgb.tif"], "mask rgb.tif has 3 channels"),
    "a segmentation": (["--project", "new.ilp", "--raw_data", "a.tif", "--segmentation_image", "a.tif"], "looks at raw data alone: leave it out"),
    "a threshold of pixels": (["--project", "new.ilp", "a.tif", "--threshold", "0.5"], "of --prediction_maps or --pixel_project"),
    "a channel too many": (["--pixel_project", "new.ilp", "--raw_data", "a.tif", "--threshold", "0.5", "--channel", "2"], "expected at least 3, since channel 2"),
    "no probability": (["--pixel_project", "new.ilp", "--raw_data", "a.tif", "--threshold", "128"], "--threshold 128: expected at most 1, since the probabilities of --pixel_project new.ilp"),
    "a core without probability": (["--pixel_project", "new.ilp", "--raw_data", "a.tif", "--method", "hysteresis", "--threshold", "0.5", "--core_threshold", "200"], "--core_threshold 200: expected at most 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_RUNS)
def test_bad_runs_are_one_line(here, capsys, case):
    """Before pixels are read, and nothing is written."""
    assert train() == 0
    tifffile.imwrite("cut.tif", brush()[:20])
    tifffile.imwrite("small.tif", textures(0)[:4])
    tifffile.imwrite("rgb.tif", np.repeat(textures(0)[..., None], 3, axis=-1), photometric="rgb")
    capsys.readouterr()
    before = sorted(os.listdir())
    arguments, told = BAD_RUNS[case]
    assert main(["--headless", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert sorted(os.listdir()) == before


def test_an_object_project_whose_thresholds_fit_no_probabilities(here, capsys):
    assert train() == 0
    labels = [
        "--labels",
        "points.csv",
        "--threshold",
        "0.5",
        "--channel",
        "0",
        "--features",
        "regionprops:area",
    ]
    maps = np.zeros((*SHAPE, 1), np.float32)
    maps[5:10, 5:10], maps[20:30, 20:40] = 1, 1
    np.save("maps.npy", maps)
    (here / "points.csv").write_text("x,y,class\n6,6,small\n25,25,large\n")
    assert (
        main(
            [
                "train",
                "--project",
                "objects.ilp",
                "--raw_data",
                "a.tif",
                "--prediction_maps",
                "maps.npy",
                *labels,
            ]
        )
        == 0
    )
    with h5py.File("objects.ilp", "a") as file:
        del file["ThresholdTwoLevels/LowThreshold"]
        file["ThresholdTwoLevels/LowThreshold"] = 100.0
    capsys.readouterr()
    before = sorted(os.listdir())
    assert (
        main(["--headless", "--pixel_project", "new.ilp", "--project", "objects.ilp", "--raw_data", "a.tif"])
        == 2
    )
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert (
        "objects.ilp stores the threshold 100: expected at most 1, since the probabilities of --pixel_project new.ilp"
        in line
    )
    assert sorted(os.listdir()) == before


def test_training_of_objects_without_objects_names_pixels(here, capsys):
    assert main(["train", "--project", "x.ilp", "--raw_data", "a.tif", "--labels", "a_brush.tif"]) == 2
    assert "training of pixels needs --pixels" in capsys.readouterr().err


def test_projects_are_not_replaced_unasked(here, capsys):
    assert train() == 0
    before = (here / "new.ilp").read_bytes()
    capsys.readouterr()
    assert train("--seed", "1") == 2
    assert "--overwrite replaces it, --output NEW.ilp adds" in capsys.readouterr().err
    assert train("--seed", "1", labels=["new.ilp", "a_brush.tif"], project="./new.ilp") == 2
    assert (here / "new.ilp").read_bytes() == before
    assert train("--seed", "1", "--overwrite") == 0
    assert (here / "new.ilp").read_bytes() != before


def test_options_of_pixels_need_pixels(here, capsys):
    assert (
        main(
            [
                "train",
                "--project",
                "x.ilp",
                "--raw_data",
                "a.tif",
                "--labels",
                "a_brush.tif",
                "--label_offset",
                "y=1",
            ]
        )
        == 2
    )
    assert "--label_offset: is for training of pixels (--pixels)" in capsys.readouterr().err
    assert train("--output", "y.ilp") == 2
    assert "--pixel_features: is stored in new.ilp" in capsys.readouterr().err


def test_labels_that_take_more_memory_than_there_is(here):
    lesson = PixelTrainingRequest("x.ilp", Inputs({"raw_data": ["a.tif"]}), ["a_brush.tif"])
    with pytest.raises(InputError, match="123 labelled pixels with 49 channels take"):
        train_pixels(lesson, Context(Limits(1000)))


def test_the_layout_is_that_of_ilastik(shared, here):
    """Every group and dataset stands in ilastik's own project, with the same type; names of channels are equal."""
    golden = shared / "golden/pixel2d"
    shutil.copy(golden / "train_raw.h5", here)
    with np.load(golden / "train_pixel_labels.npz") as stored:
        np.save("labels.npy", stored["labels"])
    assert main(["train", "--pixels", "--project", "new.ilp", "--raw_data", "train_raw.h5/data", "--labels", "labels.npy",
                 "--trees", "50"]) == 0  # fmt: skip
    with h5py.File("new.ilp") as ours, h5py.File(golden / "pixel2d.ilp") as theirs:
        found = []
        ours.visititems(lambda name, entry: found.append((name, entry)))
        for name, entry in found:
            assert name in theirs
            assert set(entry.attrs) == set(theirs[name].attrs)
            if isinstance(entry, h5py.Dataset):
                assert entry.dtype.kind == theirs[name].dtype.kind
                assert entry.ndim == theirs[name].ndim
        for name in ("FeatureSelections/SelectionMatrix", "FeatureSelections/ComputeIn2d", "FeatureSelections/Scales",
                     "FeatureSelections/FeatureIds", "PixelClassification/ClassifierForests/feature_names",
                     "PixelClassification/ClassifierForests/known_labels"):  # fmt: skip
            assert np.array_equal(ours[name][()], theirs[name][()])
    assert np.array_equal(
        painted(read_pixel_project("new.ilp"), shape=(300, 320)),
        painted(read_pixel_project(str(golden / "pixel2d.ilp")), shape=(300, 320)),
    )


@pytest.mark.parametrize(
    ("case", "columns"),
    [
        ("pixel2d", 300),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("pixel2d_rgb", 180), ("pixel3d_2dmix", 72)]
        ),
    ],
)
def test_as_right_as_the_forest_of_ilastik(shared, case, columns):
    """Trained again on the strokes of ilastik's project: as near the truth of the test image as ilastik's own forest."""
    folder = shared / "golden" / case
    project = read_pixel_project(str(folder / f"{case}.ilp"))
    raw = images.open_image(f"{folder}/test_raw.h5/data", axes=project.lanes[0]["raw_data"].axes)
    with np.load(folder / "test_truth.npz") as stored:
        truth = stored["labels"].reshape(raw.shape[:4])
    part = (
        slice(0, 1),
        slice(0, min(8, raw.shape[1])),
        slice(0, min(96, raw.shape[2])),
        slice(0, columns),
        slice(0, len(project.classes)),
    )
    again = retrained_pixels(_bare(str(folder / f"{case}.ilp")), Context(Limits(jobs=2)))
    right = []
    for trained in (project, again):
        found = segmentation(PixelChain(trained.classifiers(), "").probabilities(raw).read(part))
        right.append((found == truth[part[:4]]).mean())
    assert right[1] > right[0] - 0.02
    assert right[1] > 0.8


@pytest.mark.parametrize(
    "name",
    [
        "PixelClassification2d",
        pytest.param("PixelClassification3d1c", marks=pytest.mark.slow),
        pytest.param("PixelClassification5t3d2c", marks=pytest.mark.slow),
    ],
)
def test_projects_of_ilastik_12_are_trained_again(shared, tmp_path, name):
    """Their labels do not say their axes, nor they the shape of their images."""
    shutil.copytree(shared / "golden/real/inputdata", tmp_path / "inputdata")
    shutil.copy(shared / f"golden/real/{name}/{name}.ilp", tmp_path)
    project = read_pixel_project(f"{tmp_path}/{name}.ilp")
    (before,), (after,) = project.classifiers(), retrained_pixels(_bare(project.path)).classifiers()
    assert (after.columns, after.known) == (before.columns, before.known)
    image = images.open_image(f"{tmp_path}/{project.lanes[0]['raw_data'].path}")
    part = (
        *(slice(0, min(n, most)) for n, most in zip(image.shape, (1, 4, 40, 40), strict=False)),
        slice(0, 2),
    )
    found = [
        segmentation(PixelChain((trained,), "").probabilities(image).read(part))
        for trained in (before, after)
    ]
    assert (found[0] == found[1]).mean() > 0.9


def test_names_of_all_filters():
    assert list(named(["all:1.6"])) == list(FILTERS)


def _without_pixel_forest(path):
    with h5py.File(path, "a") as file:
        del file["PixelClassification/ClassifierForests"]


def test_runs_of_projects_without_a_pixel_forest(here, capsys):
    """From the command line, alone and in a chain, and from Python: as before the forest was lost."""
    import objclass

    assert train("--trees", "100") == 0

    def run(*arguments):
        assert main(["--headless", "--output_format", "numpy", "--output_filename_format", "{nickname}", *arguments,
                     "b.tif"]) == 0  # fmt: skip
        return np.load("b.npy")

    chained = ("--pixel_project", "new.ilp", "--threshold", "0.5", "--export_source", "Object Identities")
    before = run("--project", "new.ilp"), run(*chained)
    _without_pixel_forest("new.ilp")
    capsys.readouterr()
    assert np.array_equal(run("--project", "new.ilp"), before[0])
    assert "trained again on 123 labelled pixels" in capsys.readouterr().err
    assert np.array_equal(run(*chained), before[1])
    assert np.array_equal(np.asarray(objclass.predict_pixels("new.ilp", "b.tif")), before[0])
    capsys.readouterr()
    assert main(["inspect", "new.ilp"]) == 0
    assert (
        "runnable    yes: its pixel classifier is missing: it will be trained again"
        in capsys.readouterr().out
    )
    os.remove("a.tif")
    assert main(["inspect", "new.ilp"]) == 0
    assert "runnable    no: new.ilp: to train on its labels takes the images" in capsys.readouterr().out


def test_retraining_on_request(here, capsys):
    assert train() == 0
    capsys.readouterr()
    assert main(["--headless", "--project", "new.ilp", "--retrain", "b.tif"]) == 0
    assert "trained again on 123 labelled pixels" in capsys.readouterr().err


def test_a_combined_project_without_a_pixel_forest(shared, tmp_path, capsys):
    """Pixels are classified anew; the forest of the objects stays."""
    for name in ("po2d.ilp", "train_raw.h5", "test_raw.h5"):
        shutil.copy(shared / "golden/po2d" / name, tmp_path)
        os.chmod(tmp_path / name, 0o644)
    _without_pixel_forest(tmp_path / "po2d.ilp")
    arguments = [
        "--headless",
        "--project",
        f"{tmp_path}/po2d.ilp",
        "--raw_data",
        f"{tmp_path}/test_raw.h5/data",
    ]
    arguments += ["--export_source", "Simple Segmentation", "--output_format", "numpy"]
    assert main([*arguments, "--output_filename_format", f"{tmp_path}/pixels"]) == 0
    assert "the pixel classifier is trained again" in capsys.readouterr().err
    with h5py.File(shared / "golden/po2d/expected/test_simple_segmentation.h5") as file:
        assert (np.load(tmp_path / "pixels.npy") == file["exported_data"][()]).mean() > 0.95
