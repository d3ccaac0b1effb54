"""The report of a run: collected lane by lane, the same bytes however the run went."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.batch import plan
from objclass.cli import main
from objclass.export.spool import spool_path
from tests.conftest import SAMPLES

PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for n in range(4):
        squares = np.zeros((12, 60), np.uint8)
        for k in range(n):  # the first image has no object
            squares[3:8, 7 * k + 2 : 7 * k + 6] = 1
        np.save(f"seg{n}.npy", squares)
        np.save(f"raw{n}.npy", (100 * squares + rng.integers(0, 9, squares.shape)).astype(np.uint16))
    return tmp_path


def measured(*more, lanes=range(4), report="out/r.html", jobs=1):
    """A run without a project."""
    return main([
        *("--headless", "--quiet", "--segmentation_image", *(f"seg{n}.npy" for n in lanes)),
        *("--raw_data", *(f"raw{n}.npy" for n in lanes), "--features", "regionprops:area"),
        *("--table_only", "--table_filename", "out/t.csv", "--report", report, "--jobs", str(jobs), *more),
    ])  # fmt: skip


def page(path="out/r.html"):
    return Path(path).read_text(encoding="utf-8")


@pytest.fixture
def cells(here):
    """The sample image, the same without objects, and turned."""
    raw, segmentation = (tifffile.imread(SAMPLES / f"cells{kind}.tif") for kind in ("", "_segmentation"))
    np.save("a.npy", raw)
    np.save("a_seg.npy", segmentation)
    np.save("none.npy", raw)
    np.save("none_seg.npy", np.zeros_like(segmentation))
    np.save("b.npy", raw[::-1, 50:])
    np.save("b_seg.npy", segmentation[::-1, 50:])
    return ["a", "none", "b"]


def classified(names, *more, samples=SAMPLES, report="out/r.html"):
    return main([
        *("--headless", "--quiet", "--project", f"{samples}/cells.ilp", "--table_only", "--table_filename", "out/t.csv"),
        *("--raw_data", *(f"{n}.npy" for n in names), "--segmentation_image", *(f"{n}_seg.npy" for n in names)),
        *("--report", report, *more),
    ])  # fmt: skip


def test_counts_certainty_pictures_and_provenance(cells):
    assert classified(cells) == 0
    html = page()
    for text in ("classified by cells.ilp", "elongated", "ring", "round", "Without objects: none.", "Typical",
                 "Uncertain", "SHA-256", "Standard Object Features: Count", "segmentation image a_seg.npy"):  # fmt: skip
        assert text in html, text
    assert "Not in this report" not in html
    table = pd.read_csv("out/t.csv")
    novel = table[table["Novelty"] > 1].groupby(["Predicted Class", "Image"]).size().clip(upper=3)
    shown = Counter(re.findall(r'alt="(\w+) object of (\w+) in', html))
    assert len(PNG.findall(html)) == shown.total()
    for name in ("elongated", "ring", "round"):
        assert shown["novel", name] == novel[name].sum() > 0
        assert 6 >= shown["typical", name] >= shown["uncertain", name] > 3  # an object is shown once


def test_pictures_where_novelty_is_not_known(cells, ilastik_samples):
    assert classified(cells, samples=ilastik_samples) == 0
    html = page()
    assert len(PNG.findall(html)) == 3 * 2 * 6  # classes, kinds, three of each of two images
    assert "Whether objects are unlike those of the training is not known" in html


def test_the_same_bytes_for_any_threads_blocks_and_order_of_work(cells):
    found = set()
    for more in (("--jobs", "1"), ("--jobs", "3"), ("--block_shape", "16")):
        assert classified(cells, *more) == 0
        found.add(Path("out/r.html").read_bytes())
    assert len(found) == 1


def test_a_page_that_cannot_be_drawn(here, monkeypatch):
    """The lanes before the last are kept, and the page is drawn when they are resumed."""
    assert measured() == 0
    whole = Path("out/r.html").read_bytes()
    for path in Path("out").iterdir():
        path.unlink()
    with monkeypatch.context() as patch:

        def fail(_):
            message = "no space left"
            raise OSError(message)

        patch.setattr("objclass.report.of_run.RunReport.close", fail)
        assert measured() == 1
    assert not Path("out/r.html").exists()
    assert measured("--resume") == 0
    assert Path("out/r.html").read_bytes() == whole
    left = {path.name for path in Path("out").iterdir()}
    assert left >= {"r.html", "t.csv"}
    assert not [name for name in left if name.startswith(".")]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_run_that_failed_names_what_failed_and_why_and_is_completed(here, broken, jobs):
    assert measured() == 0
    whole = Path("out/r.html").read_bytes()
    for path in Path("out").iterdir():
        path.unlink()
    broken.add("raw2")
    assert measured("--on_error", "continue", jobs=jobs) == 1
    html = page()
    assert "1 of 4 images failed or were not run" in html
    assert "raw2: &lt;b&gt;a fault&lt;/b&gt;" in html
    assert "3" in html
    broken.clear()
    assert measured("--resume", jobs=jobs) == 0
    assert Path("out/r.html").read_bytes() == whole
    assert not Path(spool_path("out/r.html")).exists()


def test_a_run_that_stopped_names_what_was_not_run(here, broken):
    broken.add("raw1")
    assert measured() == 1
    rows = re.findall(r"<th scope=\"row\"><bdi>(raw\d)</bdi></th>\s*<td[^>]*><bdi>([^<]*)", page())
    assert rows[-3:] == [("raw1", "raw1: &lt;b&gt;a fault&lt;/b&gt;"), ("raw2", "not run"), ("raw3", "not run")]  # fmt: skip


def test_a_complete_report_is_not_replaced_by_an_incomplete_one(here, broken):
    assert measured() == 0
    whole = Path("out/r.html").read_bytes()
    broken.add("raw2")
    assert measured("--on_error", "continue") == 1
    assert Path("out/r.html").read_bytes() == whole
    assert "failed or were not run" in page("out/r.partial.html")


def test_all_lanes_fail(here, broken):
    broken |= {f"raw{n}" for n in range(4)}
    assert measured("--on_error", "continue") == 3
    assert not Path("out/r.html").exists()


def test_one_lane(here):
    assert measured(lanes=[3]) == 0
    html = page()
    assert len(PNG.findall(html)) == 3
    assert "3 objects in 1 image, measured." in html


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("r.txt", "--report r.txt: expected a name that ends in .html"),
        ("{nickname}.html", "expected a name without placeholders: all images are in one report"),
        ("seg1.npy/r.html", "seg1.npy"),
    ],
)
def test_names_that_are_refused(here, capsys, report, said):
    assert measured(report=report) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not Path("out").exists()


def test_two_outputs_of_one_name(here, capsys):
    assert measured("--summary_filename", "out/x.csv", "--export_objects", "out/x.geojson", report="out/t.html") == 2  # fmt: skip
    capsys.readouterr()
    Path("link.html").symlink_to("out/t.csv")
    assert measured(report="link.html") == 2
    assert "both the table and the report would be written there" in capsys.readouterr().err


def test_a_library_that_is_missing(here, capsys, monkeypatch):
    monkeypatch.setattr("objclass.export.report.find_spec", lambda name: None if name == "jinja2" else name)
    assert measured() == 2
    assert (
        'made with jinja2, which is not installed: pip install "objclass[report]"' in capsys.readouterr().err
    )
    assert not Path("out").exists()


def test_pixels_alone_have_no_report(here, capsys, samples):
    train = ["train", "--pixels", "--quiet", "--project", "p.ilp", "--raw_data", f"{samples}/cells_train.tif"]
    train += ["--labels", f"{samples}/cells_train_strokes.png", "--pixel_features", "gaussian:1", "--trees", "2"]  # fmt: skip
    assert main(train) == 0
    run = ["--headless", "--quiet", "--project", "p.ilp", "--raw_data", f"{samples}/cells.tif"]
    assert main([*run, "--report", "r.html"]) == 2
    assert "finds no objects for a report" in capsys.readouterr().err
    assert not Path("r.html").exists()


def test_the_dry_run_and_the_run_file_name_it(here, capsys):
    assert measured("--dry_run") == 0
    assert "out/r.html" in capsys.readouterr().out
    assert not Path("out").exists()
    assert measured() == 0
    run = json.loads(Path("out/objclass_run.json").read_text())
    assert all("out/r.html" in lane["outputs"] for lane in run["lanes"])
    assert [entry["path"] for entry in run["lanes"][-1]["files"]] == ["out/t.csv", "out/r.html"]


def test_a_dry_run_reads_the_project_for_its_digest_once(cells, monkeypatch):
    asked = []
    monkeypatch.setattr(plan, "file_entry", lambda path, digest: asked.append(path) or {"sha256": "0"})
    for _ in range(2):  # nothing of a run is kept for another one
        assert classified(cells, "--dry_run") == 0
    assert len(asked) == 2


def test_it_is_repeated(here, capsys):
    assert measured("--digest", "content") == 0
    Path("out/r.html").unlink()
    assert main(["rerun", "out/objclass_run.json"]) == 0
    assert Path("out/r.html").exists()


def test_time_planes_and_channels(here):
    """A movie of two channels, a volume with a label image, and an image without raw data."""
    rng = np.random.default_rng(1)
    seen = np.zeros((3, 20, 40), np.uint8)
    seen[:, 4:9, 5:10] = seen[1:, 12:17, 20:30] = 1
    np.save("movie_seg.npy", seen)
    np.save("movie.npy", rng.random((*seen.shape, 2)).astype(np.float32))
    run = [
        "--headless",
        "--quiet",
        "--features",
        "regionprops:area",
        "--table_only",
        "--table_filename",
        "t.csv",
    ]
    axes = ["--input_axes", "tyxc,tyx"]
    assert main([*run, *axes, "--raw_data", "movie.npy", "--segmentation_image", "movie_seg.npy", "--report", "m.html"]) == 0  # fmt: skip
    html = page("m.html")
    assert "3 time steps" in html
    assert "Number of objects by time step: objects from 1 to 2" in html
    assert len(PNG.findall(html)) == 5

    labels = np.zeros((4, 20, 20), np.uint16)
    labels[1:3, 3:9, 3:9], labels[:, 12:18, 12:18] = 7, 3
    np.save("ids.npy", labels)
    assert main([*run, "--label_image", "ids.npy", "--report", "v.html"]) == 0
    html = page("v.html")
    assert len(PNG.findall(html)) == 2
    assert "ids, id 7" in html
    assert "ids, id 3" in html


def test_prediction_maps(here):
    code = main([
        *("--headless", "--quiet", "--features", "regionprops:area", "--raw_data", f"{SAMPLES}/cells.tif"),
        *("--prediction_maps", f"{SAMPLES}/cells_probabilities.h5/exported_data", "--threshold", "0.6", "--min_size", "20"),
        *("--table_only", "--table_filename", "t.csv", "--report", "r.html"),
    ])  # fmt: skip
    assert code == 0
    assert "threshold 0.6, core_threshold 0.8, channel 0" in page("r.html")


def test_a_project_of_pixels_and_objects(shared, here):
    code = main([
        *("--headless", "--quiet", "--project", f"{shared}/golden/po2d/po2d.ilp"),
        *("--raw_data", f"{shared}/golden/po2d/test_raw.h5/data", "--table_only", "--table_filename", "t.csv"),
        *("--report", "r.html"),
    ])  # fmt: skip
    assert code == 0
    html = page("r.html")
    assert "pixel classification" in html
    assert PNG.search(html)
