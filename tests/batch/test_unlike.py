"""Images unlike those of the training are said in one line; where all is well, nothing is."""

import re

import numpy as np
import pytest
import tifffile

import objclass
from objclass.batch.unlike import UnlikeImages
from objclass.cli import main
from objclass.errors import ProjectError
from objclass.training.novelty_of import with_novelty


def line_of(*images, trained_on=2):
    found = UnlikeImages(trained_on)
    for number, (objects, novel) in enumerate(images):
        found.add(f"image{number}", objects, novel)
    return found.line


@pytest.mark.parametrize(
    "images", [[(100, 5)], [(100, 20)], [(10, 4)], [(0, 0)], [(1, 1), (1, 0), (3, 3)], [(50, 1)] * 20]
)
def test_where_all_is_well_nothing_is_said(images):
    assert line_of(*images) == ""


def test_which_images_are_unlike():
    assert line_of((50, 32)).startswith(
        "image0 looks unlike the training images: 64% of its 50 objects are novel (expected 1%) ("
    )
    assert line_of((50, 1), (50, 32), (30, 0)).startswith(
        "1 of 3 images looks unlike the training images: 64% of its 50 objects are novel (expected 1%): image1 ("
    )
    assert line_of((50, 24), trained_on=1) == ""  # one image has shown nothing of how images differ
    assert line_of((50, 26), trained_on=1)
    many = line_of(*[(50, 32)] * 40, (50, 0))
    assert many.startswith("40 of 41 images look unlike the training images: 64% of their 2000 objects")
    assert len(many) < 400
    assert line_of(*[(1, 1)] * 8, (1, 0)).startswith(
        "the 9 images look unlike the training images: 89% of their 9 objects are novel"
    )


def cells(random, brightness, side=6):
    """Discs, small and large, on a dark ground; their labels and sizes."""
    y, x = np.mgrid[:24, :24] - 12
    radius = random.choice([4, 8], side * side) + random.normal(0, 0.4, side * side)
    light = random.normal(100, 6, side * side)
    tiles = [np.hypot(y, x) <= r for r in radius]
    raw = (
        np.stack([t * a for t, a in zip(tiles, light, strict=True)])
        + 15
        + random.normal(0, 2, (side * side, 24, 24))
    )
    labels = np.stack([t * (k + 1) for k, t in enumerate(tiles)])
    whole = [
        part.reshape(side, side, 24, 24).swapaxes(1, 2).reshape(side * 24, side * 24)
        for part in (raw, labels)
    ]
    return np.clip(np.rint(whole[0] * brightness), 0, 255).astype(np.uint8), whole[1].astype(np.uint8), radius


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a project, trained on two images, and four more: two as they were, two brighter."""
    folder, random = tmp_path_factory.mktemp("batch"), np.random.default_rng(0)
    for number, brightness in enumerate([1, 1, 1, 1, 1.5, 1.5]):
        raw, labels, radius = cells(random, brightness)
        tifffile.imwrite(folder / f"{number}.tif", raw)
        tifffile.imwrite(folder / f"{number}_labels.tif", labels)
        lines = [f"{number},{k + 1},{'large' if r > 6 else 'small'}" for k, r in enumerate(radius)]
        (folder / f"{number}.csv").write_text("image,original_oid,class\n" + "\n".join(lines))
    names = [folder / "0", folder / "1"]
    assert main([
        "train", "--quiet", "--project", f"{folder}/p.ilp", "--raw_data", *(f"{n}.tif" for n in names), "--label_image",
        *(f"{n}_labels.tif" for n in names), "--labels", *(f"{n}.csv" for n in names), "--features",
        "Standard Object Features",
    ]) == 0  # fmt: skip
    return folder


def run(folder, numbers, *more):
    raw, labels = ([f"{folder}/{n}{end}.tif" for n in numbers] for end in ("", "_labels"))
    return main([
        "--headless", "--project", f"{folder}/p.ilp", "--raw_data", *raw, "--label_image", *labels, "--table_filename",
        f"{folder}/out/{{nickname}}.csv", *more,
    ])  # fmt: skip


def test_a_brighter_batch_is_said_in_one_line(trained, capsys):
    (trained / "out").mkdir(exist_ok=True)
    assert run(trained, "23") == 0
    assert "unlike" not in capsys.readouterr().err
    assert run(trained, "2345") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "unlike" in line]
    assert len(lines) == 1
    assert "2 of 4 images look unlike the training images: " in lines[0]
    assert "of their 72 objects are novel (expected 1%): 4, 5 (" in lines[0]
    assert run(trained, "2345", "--resume") == 0
    assert lines[0] in capsys.readouterr().err.splitlines()  # of lanes that were done before, too


def test_the_report_of_a_run_says_it_and_shows_novel_objects(trained):
    assert run(trained, "2345", "--quiet", "--report", f"{trained}/r.html") == 0
    html = (trained / "r.html").read_text(encoding="utf-8")
    assert "2 of 4 images look unlike the training images: " in html
    assert html.count(">unlike the training images<") == 2
    for name in ("large", "small"):
        assert set(re.findall(rf'alt="novel object of {name} in (\d)', html)[:6]) == {"4", "5"}


def test_novelty_from_python(trained):
    novel = {}
    for number in (2, 4):
        table = objclass.predict(
            f"{trained}/p.ilp",
            f"{trained}/{number}.tif",
            label_image=f"{trained}/{number}_labels.tif",
            images=(),
        ).table
        novel[number] = (table["Novelty"] > 1).mean()
    assert novel[2] < 0.2
    assert novel[4] > 0.9


def test_projects_of_ilastik_are_asked_for_novelty(shared):
    path = f"{shared}/golden/labels2d/labels2d.ilp"
    assert objclass.open_project(path).novelty is None
    model = with_novelty(objclass.open_project(path)).novelty
    assert model.threshold > 0


def test_projects_without_features_are_refused(ilastik_samples, tmp_path, capsys):
    inputs = [
        "--raw_data",
        f"{ilastik_samples}/cells.tif",
        "--segmentation_image",
        f"{ilastik_samples}/cells_segmentation.tif",
    ]
    table = ["--table_filename", f"{tmp_path}/t.csv", "--novelty"]
    assert main(["--headless", "--quiet", "--project", f"{ilastik_samples}/cells.ilp", *inputs, *table]) == 2
    error = capsys.readouterr().err
    assert f"--novelty: {ilastik_samples}/cells.ilp holds no features of its labelled objects" in error
    assert error.count("\n") == 1
    assert main(["--headless", "--quiet", *inputs, *table]) == 2
    assert (
        "--novelty: compares objects with those of the training: give a --project" in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProjectError, match="^novelty="):
        objclass.predict(
            f"{ilastik_samples}/cells.ilp",
            f"{ilastik_samples}/cells.tif",
            f"{ilastik_samples}/cells_segmentation.tif",
            novelty=True,
        )
