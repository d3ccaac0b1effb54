"""Plates of OME-Zarr: each field is a lane, with plate, well and field as metadata."""

import json

import numpy as np
import pandas as pd
import pytest
import zarr

from objclass.cli import main

FIELDS = {("B/2", "0"): 1, ("A/10", "0"): 2, ("A/10", "1"): 3, ("A/1", "0"): 4}
"""Path of the well and of the field -> number of objects."""


def write_plate(path, version, pixels, labels=None, fields=FIELDS):
    """A plate whose fields are ``pixels(n)``, with ``labels(n)`` as label image ``nuclei``."""
    zarr_format = 2 if version == "0.4" else 3

    def group(name, **described):
        described = described if version == "0.4" else {"ome": {"version": version, **described}}
        return zarr.open_group(f"{path}/{name}", mode="a", zarr_format=zarr_format, attributes=described)

    def image(name, array, **more):
        axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
        scale = [{"type": "scale", "scale": [0.5, 0.5]}]
        multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
        group(name, multiscales=[multiscale], **more).create_array("0", data=array)

    wells = list(dict.fromkeys(well for well, _ in fields))
    group("", plate={"wells": [{"path": well} for well in wells]})
    for well in wells:
        group(well, well={"images": [{"path": field} for of, field in fields if of == well]})
    for (well, field), n in fields.items():
        image(f"{well}/{field}", pixels(n))
        if labels is not None:
            image(f"{well}/{field}/labels/nuclei", labels(n), **{"image-label": {}})


def objects(n):
    labels = np.zeros((8, 20), np.uint8)
    for k in range(n):
        labels[2:4, 4 * k + 1 : 4 * k + 3] = k + 1
    return labels


def raw(n):
    return objects(n) * 7


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    return main([
        "--headless", "--quiet", "--features", "regionprops:area", "regionprops:intensity_mean", "--table_filename",
        "t.csv", "--table_only", *options,
    ])  # fmt: skip


def refusal(capsys, *options):
    assert run(*options) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


ROWS = [("A01_0", "A01", 0, 4), ("A10_0", "A10", 0, 2), ("A10_1", "A10", 1, 3), ("B02_0", "B02", 0, 1)]
"""Nickname, well, field, number of objects: in the order of the wells."""


def rows():
    counted = pd.read_csv("t.csv").groupby(["Image", "plate", "well", "field"], sort=False).size()
    return [(image, well, field, n) for (image, _, well, field), n in counted.items()]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_fields_with_their_label_images(here, version):
    write_plate("screen.ome.zarr", version, raw, objects)
    assert run("--raw_data", "screen.ome.zarr", "--label_image", "screen.ome.zarr/labels/nuclei") == 0
    assert rows() == ROWS
    table = pd.read_csv("t.csv")
    assert list(table)[list(table).index("Image") :][:4] == ["Image", "plate", "well", "field"]
    assert set(table["plate"]) == {"screen"}
    lane = json.loads((here / "objclass_run.json").read_text())["lanes"][0]
    assert [image["name"] for image in lane["inputs"]] == [
        "screen.ome.zarr/A/1/0/0", "screen.ome.zarr/A/1/0/labels/nuclei/0",
    ]  # fmt: skip


def test_a_second_plate_of_the_same_fields_in_any_order(here):
    write_plate("raw.zarr", "0.4", raw)
    write_plate("seg.zarr", "0.5", objects, fields=dict(reversed(FIELDS.items())))
    assert run("--raw_data", "raw.zarr/", "--label_image", "seg.zarr") == 0
    assert rows() == ROWS


def test_images_of_fields_have_names_of_their_own(here):
    write_plate("p.zarr", "0.4", raw, objects)
    options = ["--raw_data", "p.zarr", "--label_image", "p.zarr/labels/nuclei", "--output_format", "numpy"]
    assert main(["--headless", "--quiet", *options, "--output_filename_format", "{nickname}"]) == 0
    assert sorted(path.name for path in here.glob("*.npy")) == [f"{name}.npy" for name, *_ in ROWS]


def test_several_plates(here):
    for name in ("p1", "p2"):
        write_plate(f"{name}.zarr", "0.4", raw, objects)
    plates = ["p1.zarr", "p2.zarr"]
    assert run("--raw_data", *plates, "--label_image", *(f"{plate}/labels/nuclei" for plate in plates)) == 0
    table = pd.read_csv("t.csv")
    assert list(table["Image"].unique()) == [f"{p}_{name}" for p in ("p1", "p2") for name, *_ in ROWS]
    assert list(table["plate"].unique()) == ["p1", "p2"]


def test_one_field_stays_one_image(here):
    write_plate("p.zarr", "0.4", raw, objects)
    assert run("--raw_data", "p.zarr/A/1/0", "--label_image", "p.zarr/A/1/0/labels/nuclei") == 0
    assert "well" not in pd.read_csv("t.csv")


def test_parts_that_are_links_are_refused(here, capsys):
    write_plate("p.zarr", "0.4", objects)
    (here / "p.zarr/B").rename(here / "B")
    (here / "p.zarr/B").symlink_to(here / "B")
    assert "p.zarr/B/2" in refusal(capsys, "--label_image", "p.zarr")


def test_plates_that_differ_are_refused(here, capsys):
    write_plate("raw.zarr", "0.4", raw)
    write_plate("seg.zarr", "0.4", objects, fields={**FIELDS, ("C/3", "0"): 1})
    err = refusal(capsys, "--raw_data", "raw.zarr", "--label_image", "seg.zarr")
    assert "plates of --raw_data and --label_image differ in their fields: only one has seg.zarr/C/3/0" in err


def test_plates_and_other_images_are_refused(here, capsys):
    write_plate("p.zarr", "0.4", raw, objects)
    np.save("a.npy", objects(2))
    assert "--label_image a.npy: is no plate" in refusal(
        capsys, "--raw_data", "p.zarr", "--label_image", "a.npy"
    )
    err = refusal(capsys, "--raw_data", "p.zarr", "p.zarr", "--label_image", "p.zarr/labels/nuclei")
    assert "2 plates for --raw_data, 1 plates for --label_image" in err
    err = refusal(capsys, "--raw_data", "p.zarr", "--label_image", "p.zarr/labels/cells")
    assert "labels/cells" in err


@pytest.mark.parametrize(
    ("plate", "part"),
    [
        ({}, "its list of wells and fields cannot be used"),
        ({"wells": 3}, "its list of wells and fields cannot be used"),
        ({"wells": [{"path": "Z/9"}]}, "Z/9"),
        ({"wells": []}, "has no fields"),
    ],
)
def test_damaged_plates_are_refused(here, capsys, plate, part):
    write_plate("p.zarr", "0.4", raw)
    zarr.open_group("p.zarr", mode="a").attrs["plate"] = plate
    err = refusal(capsys, "--label_image", "p.zarr")
    assert part in err
    assert "p.zarr" in err


def test_a_field_outside_of_its_plate_is_refused(here, capsys):
    write_plate("p.zarr", "0.4", raw)
    zarr.open_group("p.zarr/A/1", mode="a").attrs["well"] = {"images": [{"path": "../../../other"}]}
    assert "outside" in refusal(capsys, "--label_image", "p.zarr")
