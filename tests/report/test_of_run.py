"""The page of a run: bounded, the same for any order of work, the best examples of all images."""

import re
import time

import numpy as np
import pytest

from objclass.export.report import NOVEL, TYPICAL, UNCERTAIN, findings_of
from objclass.report.gallery import pictures_for
from tests.report.made_run import NAMES, example, findings, page, report, run_page
from tests.report.test_page import HOSTILE, Reader

MAXIMUM = 10_000_000
"""Bytes of a page."""


def captions(html):
    found = re.findall(
        r"<figcaption>(?:<b><bdi>(.*?)</bdi></b> )?<span><bdi>(.*?)</bdi></span></figcaption>", html
    )
    return ["; ".join(reversed(pair)) for pair in found]


def test_findings_survive_the_spool():
    found = findings("a", metadata=[("well", "A01")])
    assert findings_of(found.columns["findings"][0]) == found
    crop = found.examples[0].crop
    assert crop.raw.shape == (20, 20, 1)
    assert crop.mask.sum() == 7 * 8


def test_everything_is_there(tmp_path):
    html = run_page(tmp_path).decode()
    read = Reader(html)
    texts = "".join(read.texts)
    for text in ("1 of 6 images looks unlike the training images: 38% of its 120 objects", "720 objects in 6 images, classified by cells.ilp.", "1 of 7 images failed", "a fault", "18 time steps",
                 "Typical", "Uncertain", "Novel", "the least certain objects", "raw data a.tif", "features (2)"):  # fmt: skip
        assert text in texts, text
    assert all(picture["alt"] for picture in read.all("img"))
    plots = [attributes for attributes in read.all("div") if attributes.get("class") == "plot"]
    assert len(plots) == 4
    assert all(plot["aria-label"] for plot in plots)


def test_parts_and_lanes_with_the_same_examples(tmp_path):
    """How many lanes come at once makes no difference."""
    found = [findings(f"image{k}", seed=k % 3) for k in range(20)]
    assert page(tmp_path, found) == page(tmp_path, found, batches=7)


def test_the_best_examples_of_all_lanes_are_shown_each_once(tmp_path):
    """Of four objects two are typical, so that one is left that is uncertain."""

    def lane(name, *examples):
        return findings(name, groups=1, examples=examples)

    same = example(UNCERTAIN, 0, 0.95, label=4)
    found = [
        lane("a", example(TYPICAL, 0, 0.8, label=1), example(TYPICAL, 0, 0.9, label=2)),
        lane("b", example(TYPICAL, 0, 1.0, label=3), example(TYPICAL, 0, 0.5, label=4), same),
    ]
    html = page(tmp_path, found, report("ab", ["cell"])).decode()
    assert captions(html) == [
        "b, object 3; probability 1.00", "a, object 2; probability 0.90",
        "b, object 4; uncertainty 0.95",
    ]  # fmt: skip


def test_hostile_names_are_text(tmp_path):
    for text in HOSTILE:
        found = [findings(text, metadata=[(text, text)]), findings("b", metadata=[(text, "x")])]
        described = report([text, "b", "c"], [text, "ring", "round"], failed={"c": text})
        html = page(tmp_path, found, described).decode()
        read = Reader(html)
        assert not read.all("script", "iframe", "object")
        assert {a["src"][:22] for a in read.all("img")} == {"data:image/png;base64,"}
        assert len(html) < 1_000_000


@pytest.mark.parametrize(
    ("lanes", "groups", "steps"),
    [
        (400, 3, 1),
        pytest.param(4000, 3, 1, marks=pytest.mark.slow),
        pytest.param(300, 60, 1, marks=pytest.mark.slow),
        (2, 255, 3),
        (1, 2, 3000),
    ],
)
def test_a_page_is_small_and_quick(tmp_path, lanes, groups, steps):
    names = [f"plate 1/well {k:05}/field 3" for k in range(lanes)]
    first = findings(names[0], groups, steps, side=40)
    text = first.columns["findings"][0]
    path = tmp_path / "page.html"
    from objclass.report.of_run import RunReport

    begun = time.process_time()
    writer = RunReport(str(path), report(names, [f"class {k}" for k in range(groups)]))
    for name in names:
        writer.append({"findings": np.array([text.replace(f'"{names[0]}"', f'"{name}"')], dtype=object)})
    writer.close()
    assert path.stat().st_size < MAXIMUM
    assert time.process_time() - begun < 60
    html = path.read_text(encoding="utf-8")
    assert 2 * min(groups, 100) <= len(captions(html)) <= 3 * min(groups, 100) * pictures_for(groups)
    assert f"{lanes:,} image" in html


def test_every_class_is_in_the_legends(tmp_path):
    """Matplotlib leaves out names that begin with _."""
    names = ("_debris", "__", "cell")
    found = [findings(name, steps=3) for name in ("a", "b")]
    html = page(tmp_path, found, report("ab", classes=names)).decode()
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(plots) == 3
    assert all(f">{name}</text>" in plot for plot in plots for name in names)


def test_a_page_of_very_long_names_is_small(tmp_path):
    images = [f"{k}{'a' * 100_000}{k}" for k in range(3)]
    html = page(tmp_path, [findings(name) for name in images], report(images, classes=["c" * 100_000] * 3))
    assert len(html) < 1_000_000


def test_an_object_is_shown_for_one_reason(tmp_path):
    of_kinds = [example(kind, 0, 1.0, label=1) for kind in (TYPICAL, UNCERTAIN, NOVEL)]
    html = page(tmp_path, [findings("a", groups=1, examples=of_kinds)], report("a", ["cell"])).decode()
    assert captions(html) == ["a, object 1; novelty 3.00"]


def test_without_novelty(tmp_path):
    html = page(tmp_path, [findings("a"), findings("b")]).decode()
    assert "Whether objects are unlike those of the training is not known;" in html
    assert "Novelty" not in html


def test_images_without_objects(tmp_path):
    empty = findings("none", objects=0, examples=())
    html = page(tmp_path, [empty]).decode()
    assert "0 objects in 1 image" in html
    assert "Without objects: none." in html
    assert not captions(html)


def test_kinds_have_a_title():
    from objclass.report.gallery import TITLES
    from objclass.report.run_page import MEASURE

    assert set(MEASURE) == {TYPICAL, UNCERTAIN, NOVEL} <= set(TITLES)
    assert len(NAMES) == 3
