"""Pages: nothing of a name gets out of its place, nothing is loaded, the same input is the same bytes."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from objclass.compute.context import Context
from objclass.errors import OutputError, UsageError
from objclass.evaluation.result import Importance, Score
from objclass.pipeline.crops import Crop
from objclass.project.model import class_colors
from objclass.report import of_evaluation
from objclass.report.figures import STYLE, empty_plot
from objclass.report.file import check_report, save_page
from objclass.report.of_evaluation import Subject, objects_to_show, page_of
from objclass.report.page import Page, rendered
from objclass.report.pictures import Crops, read_crops
from objclass.report.thumbnails import contrast_of, thumbnail
from objclass.settings import ThresholdSettings
from tests.report.made import NAMES, evaluation, squares

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)> $x^2$ </style></svg>",
    "\u05d0\u202e\u05d1 {{ 7 * 7 }} \x00\x1b\udc80" + "long " * 1000,
)
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Elements in order, which must be closed as they were opened."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found, self.texts = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


def crops_of(found, lanes):
    rows = {
        row
        for kinds in objects_to_show(found).values()
        for of_kind in kinds.values()
        for row in of_kind.tolist()
    }
    return read_crops(found.objects, rows, lanes, ThresholdSettings(), Context())


def page(found=None, lanes=None, facts=(("version", ("1",)), ("inputs", ("a.tif", "b.tif")))):
    found = found or evaluation()
    lanes = {k: squares(40, seed=k) for k in range(3)} if lanes is None else lanes
    subject = Subject("Evaluation of P.ilp", facts, class_colors((), len(found.names)))
    return page_of(found, subject, objects_to_show(found), crops_of(found, lanes))


@pytest.fixture(scope="module")
def html():
    """The usual page."""
    return rendered(page()).decode()


def test_all_parts_are_there_and_every_picture_is_described(html):
    read = Reader(html)
    for text in ("Read this first", "Confusion matrix", "Calibration", "More labels would help.", "Importance", "Typical",
                 "Uncertain", "Disagreeing with the label", "Images", "provenance", "a.tif", "too few"):  # fmt: skip
        assert text in html
    pictures = read.all("img")
    assert len(pictures) > 20
    assert all(re.match(r"Id \d+ of [abc], labelled \w+, predicted \w+ with", p["alt"]) for p in pictures)
    assert all(p["src"].startswith("data:image/png;base64,") for p in pictures)
    assert len([p for p in read.all("div") if p.get("role") == "img" and p["aria-label"]]) == 3
    ids = [attributes["id"] for _, attributes in read.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in read.all("a", "use") if "href" in a} <= set(ids)


def test_the_same_evaluation_is_the_same_bytes(html):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path"}):  # somebody's own style
        assert rendered(page()).decode() == html


def test_headings_have_an_order_and_landmarks_a_name(html):
    read = Reader(html)
    levels = [int(tag[1]) for tag, _ in read.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert [len(read.all(tag)) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert all("aria-label" in a or "aria-labelledby" in a for a in read.all("section", "nav"))
    assert all(a.get("scope") for a in read.all("th"))


def test_hostile_names_are_text():
    found = evaluation(
        names=HOSTILE, images=HOSTILE, cautions=HOSTILE,
        importances=tuple(Importance(name, (name,), Score(0.1, 0.0, 0.2)) for name in HOSTILE),
    )  # fmt: skip
    read = Reader(rendered(page(found, facts=[(name, HOSTILE) for name in HOSTILE])).decode())
    assert not read.all("script")
    assert all(a["src"].startswith("data:") for a in read.all("img"))
    assert len(read.all("style")) == 1
    assert not any(name.startswith("on") for _, attributes in read.found for name in attributes)
    assert any("<script>alert(1)</script>" in text for text in read.texts)
    assert any("{{ 7 * 7 }}" in text for text in read.texts)


def test_nothing_is_loaded(html):
    read = Reader(html)
    policy = next(a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"https?:|//[\w]|@import|url\((?!#)", re.sub(r"base64,[^\"]*", "", html))


def test_a_page_of_many_objects_and_images_is_small():
    images = tuple(f"image_{k}" for k in range(5000))
    html = rendered(
        page(evaluation(100_000, images=images), lanes={k: squares(20, seed=k) for k in range(30)})
    )
    assert len(html) < 10_000_000
    assert html.count(b"<tr>") < 500


def test_a_page_of_many_classes_is_small(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 65535, (96, 96, 3)).astype(np.uint16)
    crop = Crop(noise, np.zeros((96, 96), bool))
    largest = thumbnail(crop, contrast_of([crop]), (255, 0, 0))
    monkeypatch.setattr(of_evaluation, "thumbnail", lambda *_: largest)
    many = evaluation(4000, names=tuple(f"class {k}" for k in range(250)))
    html = rendered(page(many, lanes={k: squares(1400) for k in range(3)}))
    assert 300 <= html.count(b"<img") <= 400
    assert "and 150 more classes without pictures" in html.decode()
    assert len(html) < 10_000_000


def test_a_page_of_very_long_names_is_small(html):
    names, images = (tuple(f"{k}{letter * 100_000}" for k in range(3)) for letter in "ci")
    importances = tuple(Importance(name, (name,), Score(0.1), names) for name in names)
    long = rendered(page(evaluation(names=names, images=images, importances=importances)))
    assert len(long) < len(html) + 300_000


def test_plots_of_several_threads_leave_the_style_of_the_process_alone():
    import matplotlib as mpl

    def draw(_):
        with empty_plot(1):
            time.sleep(0.2)

    before = {name: mpl.rcParams[name] for name in STYLE}
    with ThreadPoolExecutor(4) as pool:
        with empty_plot(1):
            waiting = pool.map(draw, range(4))
            time.sleep(0.1)
        list(waiting)
    assert {name: mpl.rcParams[name] for name in STYLE} == before


def test_images_that_are_not_found_are_said():
    assert b"No pictures: the images of the labelled objects were not found, or have changed." in rendered(
        page(lanes={})
    )
    html = rendered(page(evaluation(60), lanes={0: squares(20)}))
    assert b"objects cannot be shown: their images were not found, or have changed." in html


def test_an_evaluation_without_anything_optional_has_a_page():
    bare = evaluation(learning_curve=None, importances=(), ungrouped=None, cautions=())
    html = rendered(page_of(bare, Subject("t", (), class_colors((), 3)), {}, Crops())).decode()
    assert "Would more labels help" not in html
    assert "Read this first" not in html


def test_folds_at_random_are_too_optimistic_only_where_they_are_clearly_better():
    found = replace(evaluation(), balanced_accuracy=Score(0.8, 0.75, 0.85))

    def said(value, whole=found.balanced_accuracy):
        return rendered(page(replace(found, ungrouped=Score(value), balanced_accuracy=whole), lanes={}))

    assert b"would be 0.90: too optimistic for new ones." in said(0.9)
    assert b"would be 0.83: too optimistic for new ones." in said(0.83, Score(0.8))
    for value, whole in ((0.84, found.balanced_accuracy), (0.81, Score(0.8)), (0.7, Score(0.8))):
        assert b"optimistic" not in said(value, whole)


# --- the file


def test_a_report_is_written_whole(tmp_path):
    small = Page("t", "l", ())
    save_page(str(tmp_path / "r.html"), small)
    assert (tmp_path / "r.html").read_bytes() == rendered(small)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_reports_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    check_report(str(path))
    with pytest.raises(UsageError, match=r"a name that ends in \.html"):
        check_report(str(tmp_path / "r.pdf"))
    path.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite replaces it"):
        check_report(str(path))
    check_report(str(path), overwrite=True)
    monkeypatch.setattr("objclass.export.report.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "objclass\[report\]"'):
        check_report(str(tmp_path / "s.html"))


def test_where_no_folder_can_be_written_a_report_is_refused_before_any_work(monkeypatch):
    """matplotlib wants one for its fonts: its own words say how it is given one."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)

    def imported(name):
        message = f"{name} requires a writable folder"
        raise OSError(message)

    monkeypatch.setattr("objclass.export.report.import_module", imported)
    with pytest.raises(UsageError, match="requires a writable folder; or set TMPDIR to one"):
        check_report("page.html")


def test_colors_of_the_page_are_not_those_of_the_plot(html):
    assert "var(--right)" in html
    assert not re.search(r"#0[147a]0[258b]0[369c]", html)
    assert NAMES[0] in html
