"""Damaged files of labels: an error of one line, or labels; never anything else."""

import csv
import json
import logging
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from objclass.core import ArrayStore, Image, Lane
from objclass.errors import InputError
from objclass.registry import label_format, resolve
from objclass.training.labels.given import GivenLanes
from tests.conftest import examples
from tests.training.labels.test_faults import GOOD, NAPARI, area, pack, point, qupath, roi, sheet

POLYGON = [(1, 1), (7, 1), (7, 7)]

SAMPLES = {
    "a.csv": GOOD.encode(),
    "b.csv": b"image;t;x;y;z;class;track\na;0;1;2;0;\xce\xb1;3\n",
    "napari.csv": NAPARI.encode(),
    "a.xlsx": sheet(["class", "x", "y"], ["a", 1, 1], ["b", 11, 1.5]),
    "a.geojson": qupath(point(1, 1), area(*POLYGON, plane={"t": 0, "z": 0}), image="a").encode(),
    "points.roi": roi("a", [(1, 1), (11, 1)], counters=np.array([1, 1])),
    "traced.roi": roi("3_a", POLYGON, "TRACED", group=1, t_position=1),
    "subpixel.roi": roi("a", np.array(POLYGON, float), "FREEHAND"),
    "composite.roi": roi("a", POLYGON, "RECT", shape_roi_size=10,
                         multi_coordinates=np.array([0, 1, 1, 1, 5, 1, 1, 5, 5, 4], "f4")),
    "a.zip": pack(a__roi=roi("a", POLYGON, "POLYGON"), b__roi=roi("b")),
}  # fmt: skip

IMAGE = Image("a.npy", ArrayStore(np.zeros((2, 3, 30, 30), np.uint8)), "tzyx", "", files=("a.npy",))
LANES = GivenLanes([Lane(None, IMAGE, "segmentation_image", "a", "")], allow_misses=True)


def damaged(data, rng):
    """Some bytes are changed, cut, repeated or swapped for telling ones."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        start = rng.randrange(len(data) + 1)
        stop = min(start + rng.choice([1, 1, 2, 4, 30]), len(data))
        new = rng.choice([
            rng.randbytes(stop - start), b"", data[start:stop] * 2, b"\0" * (stop - start), b"\xff" * (stop - start),
            b"\n", b",", b'"', b"-1", b"1e999", b"nan", b"[]", b"{}", b"null", b"99999999999999999999",
        ])  # fmt: skip
        data[start:stop] = new
    return bytes(data)


def tried(path, content):
    """Read the file, as training does; a fault is one line that names the file."""
    path.write_bytes(content)
    annotations, fault = (), None
    try:
        annotations = resolve(label_format(path.name).reader)(str(path), LANES).annotations
    except InputError as refusal:
        fault = str(refusal)
    assert all(annotation.name and 0 <= annotation.t < 2 for annotation in annotations)
    assert fault is None or (str(path) in fault and "\n" not in fault and len(fault) < 1000)


def damage(path, count):
    logging.getLogger("roifile").setLevel(logging.ERROR)
    tried(path, SAMPLES[path.name])
    for seed in range(count):
        tried(path, damaged(SAMPLES[path.name], Random(f"{path.name} {seed}")))


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_bytes(tmp_path, name):
    damage(tmp_path / name, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_many_damaged_bytes(tmp_path, name):
    damage(tmp_path / name, 3000)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 40), st.floats(-5, 40), st.text(max_size=3), st.just(10**30)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip
places = st.lists(st.one_of(st.integers(-2, 40), st.floats(-2, 40)), min_size=2, max_size=3)


def usual(strategy):
    """Mostly what is expected, at times anything."""
    return st.integers(0, 9).flatmap(lambda n: strategy if n else values)


features = st.fixed_dictionaries({
    "type": usual(st.just("Feature")),
    "geometry": usual(st.fixed_dictionaries({
        "type": usual(st.sampled_from(["Point", "MultiPoint", "Polygon", "MultiPolygon", "LineString"])),
        "coordinates": usual(st.one_of(places, st.lists(places, max_size=3), st.lists(st.lists(places, max_size=4), max_size=2))),
    }, optional={"plane": usual(st.fixed_dictionaries({"t": usual(st.just(1)), "z": usual(st.just(2))}))})),
    "properties": usual(st.fixed_dictionaries({
        "classification": usual(st.fixed_dictionaries({"name": usual(st.sampled_from("ab"))}, optional={"names": values})),
    }, optional={"image": usual(st.just("a")), "metadata": values})),
})  # fmt: skip


@examples(20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    usual(
        st.one_of(
            st.lists(usual(features), max_size=3), st.fixed_dictionaries({"features": st.lists(features)})
        )
    )
)
def test_any_json(tmp_path, document):
    tried(tmp_path / "a.json", json.dumps(document).encode())


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([*"xyzt", "class", "image", "label", "frame", "user_label", "track", "axis-0", "axis-1", "axis-2",
                              "labelimage_oid", "original_oid", "index", ""]), min_size=2, max_size=6),
    st.lists(st.lists(st.sampled_from(["", "a", "b", "0", "1", "2.5", "-1", "nan", "1e999", "9" * 400, "=1", "a\nb", "\0", "²"]),
                      min_size=1, max_size=7), max_size=3),
)  # fmt: skip
def test_any_table(tmp_path, header, rows):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    tried(tmp_path / "a.csv", (tmp_path / "a.csv").read_bytes())
