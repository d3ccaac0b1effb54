"""Bad labels of every kind: one line, which names file and place; nothing is written."""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pytest
import roifile

GOOD = "labelimage_oid,class\n1,a\n2,b\n"


def point(x, y, name="a", **properties):
    classification = {"name": name} if isinstance(name, str) else name
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"classification": classification, **properties}}  # fmt: skip


def area(*corners, name="a", kind="Polygon", **geometry):
    ring = [list(corner) for corner in corners]
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": [ring], **geometry},
            "properties": {"classification": {"name": name}}}  # fmt: skip


def qupath(*features, **outer):
    return json.dumps({"type": "FeatureCollection", "features": features, **outer})


def roi(name, points=((1, 1),), kind="POINT", **given):
    made = roifile.ImagejRoi.frompoints(np.array(points))
    made.roitype, made.name = getattr(roifile.ROI_TYPE, kind), name
    for key, value in given.items():
        setattr(made, key, value)
    return made.tobytes()


def pack(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return data.getvalue()


def sheet(*rows):
    book, data = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(data)
    return data.getvalue()


def claims(data, size):
    """A zip whose only member claims another size when it is unpacked."""
    found = bytearray(data)
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = found.find(mark) + place
        found[at : at + 4] = struct.pack("<I", size)
    return bytes(found)


NAPARI = "index,axis-0,axis-1,class\n0,1,1,a\n1,1,11,b\n"

FAULTS = {
    # tables
    "empty": ({"l.csv": ""}, "l.csv have the columns 'nothing': expected class"),
    "no class is filled in": ({"l.csv": "labelimage_oid,class\n1,\n2,\n"}, "l.csv: no class is filled in"),
    "nan": ({"l.csv": "x,y,class\nnan,1,a\n"}, "l.csv line 2: x 'nan': expected a number"),
    "infinite": ({"l.csv": "x,y,class\n1,1e999,a\n"}, "l.csv line 2: y '1e999': expected a number"),
    "outside": ({"l.csv": "x,y,class\n-1,1,a\n"}, "l.csv line 2: x=-1, y=1, z=0 is outside the image"),
    "two classes in two files": (
        {"l.csv": GOOD, "m.csv": "x,y,class\n1,1,b\n"},
        "labels of a, time step 0: object 1 is both a (l.csv line 2) and b (m.csv line 2): expected one for each object",
    ),
    "two tracks": (
        {"l.csv": "labelimage_oid,class,track\n1,a,7\n1,a,8\n"},
        "object 1 is both 7 (l.csv line 2) and 8 (l.csv line 3)",
    ),
    "track of two lines": (
        {"l.csv": 'labelimage_oid,class,track\n1,a,"b\nc"\n'},
        "line 3: track 'b\\nc' contains a line break",
    ),
    "not packed": ({"l.csv.gz": b"x"}, "l.csv.gz cannot be unpacked"),
    "packed and cut": ({"l.csv.gz": gzip.compress(GOOD.encode())[:-9]}, "l.csv.gz cannot be unpacked"),
    "a folder": ({"l.csv/x": ""}, "l.csv: Is a directory"),
    "paint beside names": (
        {"p.npy": np.full((30, 30), 3), "l.csv": GOOD},
        "labels give classes by numbers and by names (a, b): give --class_names",
    ),
    "every object alike": (
        {"p.npy": np.pad(np.ones((26, 6), int), ((0, 4), (0, 24)))},
        "labels of 1 classes: expected labelled objects of at least two classes",
    ),
    "paint against a table": (
        {"p.npy": np.eye(30, dtype=int), "l.csv": "labelimage_oid,class\n1,Class 2\n"},
        "object 1 is both Class 2 (l.csv line 2) and Class 1 (p.npy)",
    ),
    # napari
    "no property": (
        {"l.csv": "index,axis-0,axis-1\n0,1,1\n"},
        "points layer of napari with the properties nothing",
    ),
    "two properties": ({"l.csv": "index,axis-0,axis-1,p,q\n0,1,1,a,b\n"}, "with the properties p, q"),
    "too many axes": (
        {"l.csv": "axis-0,axis-1,axis-2,axis-3,axis-4,class\n1,1,1,1,1,a\n"},
        "points with 5 axes",
    ),
    "a missing axis": ({"l.csv": "axis-0,axis-1,axis-3,class\n1,1,1,a\n"}, "points with 3 axes"),
    "in no plane": ({"l.csv": "axis-0,axis-1,axis-2,class\n3,1,1,a\n"}, "line 2: x=1, y=1, z=3 is outside"),
    "shapes": (
        {"l.csv": "index,shape-type,vertex-index,axis-0,axis-1\n0,path,0,1,1\n"},
        "l.csv: a shapes layer of napari",
    ),
    "no coordinate": ({"l.csv": "axis-0,axis-1,class\nx,1,a\n"}, "line 2: y 'x': expected a number"),
    # workbooks
    "no workbook": ({"l.xlsx": GOOD}, "l.xlsx are no .xlsx workbook"),
    "damaged workbook": ({"l.xlsx": pack(a="x")}, "l.xlsx cannot be read as a workbook (damaged?)"),
    "row of a workbook": (
        {"l.xlsx": sheet(["class", "x", "y"], ["a", 1, 1], [], ["b", 99, 1])},
        "l.xlsx row 4: x=99, y=1",
    ),
    "formula without a value": (
        {"l.xlsx": sheet(["class", "x", "y"], ["a", "=1+1", 1])},
        "l.xlsx row 2: x ''",
    ),
    "error in a workbook": (
        {"l.xlsx": sheet(["class", "x", "y"], ["#N/A", 1, 1])},
        "l.xlsx row 2: a formula of column A has the error #N/A",
    ),
    "wide row of a workbook": (
        {"l.xlsx": sheet(["class"], ["a", 1])},
        "l.xlsx row 2: 2 fields, but the header has 1",
    ),
    "old workbook": (
        {"l.xls": b"\xd0\xcf\x11\xe0"},
        "l.xls are a spreadsheet of another kind than .xlsx: save it as",
    ),
    "bomb of a workbook": ({"l.xlsx": claims(pack(a="x"), 1 << 30)}, "l.xlsx: 1024 MB when it is unpacked"),
    # GeoJSON
    "no JSON": ({"l.geojson": '{"type":\n}'}, "l.geojson line 2: not JSON"),
    "no text": ({"l.geojson": b"\xff\xfe"}, "l.geojson line 1: not UTF-8 text"),
    "nested": ({"l.geojson": "[" * 100_000}, "l.geojson: it is nested too deeply"),
    "other JSON": ({"l.json": '{"a": 1}'}, "l.json: type '' with no features: expected GeoJSON"),
    "a number alone": ({"l.json": "3"}, "l.json: int with no features"),
    "NaN in JSON": ({"l.json": qupath(point(float("nan"), 1))}, "l.json: NaN is no number"),
    "a map": (
        {
            "l.geojson": qupath(
                point(1, 1), crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
            )
        },
        "coordinates of the reference system urn:ogc:def:crs:EPSG::3857: expected pixels",
    ),
    "no geometry": (
        {"l.geojson": qupath(point(1, 1), {"type": "Feature"})},
        "l.geojson feature 2: expected an object",
    ),
    "a line": (
        {"l.geojson": qupath(area((1, 1), (2, 2), kind="LineString"))},
        "feature 1: geometry 'LineString'",
    ),
    "text as coordinates": (
        {"l.geojson": qupath(point("1", 1))},
        "feature 1: coordinates [['1', 1]]: expected pairs",
    ),
    "a huge coordinate": ({"l.geojson": qupath(point(10**400, 1))}, "feature 1: coordinates"),
    "two corners": ({"l.geojson": qupath(area((1, 1), (2, 2)))}, "feature 1: a ring of 2 corners"),
    "no ring": (
        {"l.geojson": qupath(area() | {"geometry": {"type": "Polygon", "coordinates": []}})},
        "feature 1: a polygon without rings",
    ),
    "a point outside": (
        {"l.geojson": qupath(point(1, 1), point(30, 1))},
        "feature 2: x=30, y=1, z=0 is outside",
    ),
    "an area outside": (
        {"l.geojson": qupath(area((30, 0), (40, 0), (40, 9)))},
        "feature 1: the area x=30 to 40, y=0 to 9 is outside",
    ),
    "another plane": (
        {"l.geojson": qupath(area((0, 0), (9, 0), (9, 9), plane={"z": 2, "t": 0}))},
        "feature 1: plane z=2: there are 1",
    ),
    "another time step": (
        {"l.geojson": qupath(area((0, 0), (9, 0), (9, 9), plane={"z": 0, "t": 2}))},
        "feature 1: timestep 2: there are 1",
    ),
    "a plane that is none": (
        {"l.geojson": qupath(area((0, 0), (9, 0), (9, 9), plane=[1]))},
        "feature 1: plane [1]: expected numbers z and t",
    ),
    "class of two lines": (
        {"l.geojson": qupath(point(1, 1, "a\nb"))},
        "feature 1: class 'a\\nb' contains a line break",
    ),
    "a formula": (
        {"l.geojson": qupath(point(1, 1, "=1"))},
        "l.geojson feature 1: class '=1' begins with '='",
    ),
    "an image that is not given": (
        {"l.geojson": qupath(point(1, 1, image="z"))},
        "images that are not given: z (given: a)",
    ),
    "two classes by features": (
        {"l.geojson": qupath(point(1, 1), area((0, 0), (7, 0), (7, 7), (0, 7), name="b"))},
        "object 1 is both a (l.geojson feature 1) and b (l.geojson feature 2)",
    ),
    "nothing labelled": (
        {"l.geojson": qupath(point(1, 1, None), point(1, 1, "Ignore*"))},
        "labels of 0 classes",
    ),
    "areas on background": (
        {"l.geojson": qupath(area((6, 6), (10, 6), (10, 10)), area((16, 6), (20, 6), (20, 10), name="b"))},
        "2 of 2 points and areas of the labels lie on background",
    ),
    # regions
    "no zip": ({"l.zip": b"PK nothing"}, "l.zip: not a zip of ImageJ's ROI Manager, or damaged"),
    "zip of other things": ({"l.zip": pack(a__txt="x")}, "error: labels l.zip: holds a.txt: expected a zip"),
    "empty zip": ({"l.zip": pack()}, "error: labels l.zip: is empty"),
    "no region": ({"l.zip": pack(a__roi=roi("a"), b__roi=b"Iout")}, "l.zip region 2: not a region of ImageJ"),
    "not a region": ({"l.roi": b"x" * 100}, "l.roi region 1: not a region of ImageJ"),
    "bomb": (
        {"l.zip": claims(pack(a__roi=roi("a")), 1 << 30)},
        "l.zip: a.roi has 1073741824 bytes when it is unpacked",
    ),
    "a lying zip": (
        {"l.zip": claims(pack(a__roi=roi("a")), 10)},
        "l.zip: not a zip of ImageJ's ROI Manager, or damaged",
    ),
    "no class": (
        {"l.zip": pack(a__roi=roi("0012-0034"))},
        "l.zip region 1 '0012-0034': neither a group nor the name",
    ),
    "no group": (
        {"l.zip": pack(a__roi=roi("a", group=2), b__roi=roi("b"))},
        "l.zip region 2 'b': no group, but others",
    ),
    "group without a name": (
        {"l.zip": pack(a__roi=roi("a", group=9)), "l.csv": GOOD},
        "by numbers and by names (a, b)",
    ),
    "a line region": (
        {"l.roi": roi("a", [(1, 1), (5, 5)], "POLYLINE")},
        "l.roi region 1 'a': a region of the type polyline",
    ),
    "not finite": (
        {"l.roi": roi("a", [(1.0, 1.0)], subpixel_coordinates=np.full((1, 2), np.nan, "f4"))},
        "l.roi region 1 'a': expected coordinates that are finite",
    ),
    "region outside": ({"l.roi": roi("a", [(50, 1)])}, "l.roi region 1 'a': x=50, y=1"),
    "two counters": (
        {"l.roi": roi("a", [(1, 1), (11, 1)], counters=np.array([0, 1]))},
        "region 1 'a': points of 2 counters",
    ),
    # projects
    "no project": ({"l.ilp": b"x"}, "l.ilp cannot be read as HDF5"),
}


def refused(place, capsys, labels, *told, warnings=0, **more):
    before = {str(p) for p in place.folder.rglob("*")}
    capsys.readouterr()
    assert place.train(*labels, **more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 + warnings, error
    assert error[-1].startswith("objclass: error: ")
    for part in told:
        assert part in error[-1]
    assert {str(p) for p in place.folder.rglob("*")} == before


@pytest.mark.parametrize("name", FAULTS)
def test_refused_in_one_line(place, capsys, name):
    files, *told = FAULTS[name]
    labels = [place.write(file, content).split("/")[0] for file, content in files.items()]
    refused(place, capsys, labels, *told)


@pytest.mark.parametrize("name", ["new.csv", "a.geojson", "other/a.zip", "l.xlsx", "l.roi", "l.ilp", "l.tif"])
def test_no_such_file(place, capsys, name):
    refused(place, capsys, [name], name, "o such file")


@pytest.mark.parametrize(("library", "content"), [("openpyxl", "l.xlsx"), ("roifile", "l.zip")])
def test_a_library_that_is_not_installed(place, capsys, monkeypatch, library, content):
    place.write("l.xlsx", sheet(["class", "x", "y"], ["a", 1, 1]))
    place.write("l.zip", pack(a__roi=roi("a")))
    module = {"l.xlsx": "workbook", "l.zip": "rois"}[content]
    monkeypatch.setattr(f"objclass.training.labels.{module}.find_spec", lambda name: None)
    refused(place, capsys, [content], f"with {library}, which is not installed", 'pip install "objclass[')


def other(place, edit, **given):
    """A project of the image a, changed."""
    place.write("l.csv", GOOD)
    assert place.train("l.csv", project="other.ilp", **given) == 0
    with h5py.File("other.ilp", "a") as file:
        edit(file)


def no_edit(file):
    """Leave it as it is."""


def set_labels(values):
    def edit(file):
        del file["ObjectClassification/LabelInputs/0000/0"]
        file["ObjectClassification/LabelInputs/0000/0"] = np.array(values, float)

    return edit


PROJECTS = {
    "class that is not there": (set_labels([0, 1, 7]), "other.ilp lane 1, time step 0, object 2: class 7: there are 2 classes"),
    "class that is none": (set_labels([0, 1, np.nan]), "object 2: class nan"),
    "object that is not there": (set_labels([0] * 50 + [1]), "other.ilp lane 1, time step 0, object 50: there is no object 50"),
    "lane that is not there": (
        lambda file: file["ObjectClassification/LabelInputs"].move("0000", "0004"),
        "other.ilp lane 5: the project does not name its raw_data",
    ),
    "time step that is not there": (
        lambda file: file["ObjectClassification/LabelInputs/0000"].move("0", "3"),
        "object 1: timestep 3: there are 1 (from 0)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_labels_of_a_damaged_project(place, capsys, name):
    edit, told = PROJECTS[name]
    other(place, edit)
    refused(place, capsys, ["other.ilp"], told, warnings=1)  # it is not what objclass has trained


def test_an_image_of_a_project_that_is_gone(place, capsys):
    other(place, no_edit)
    place.image("b", offset=1)
    Path("a.npy").unlink()
    refused(place, capsys, ["other.ilp"], "other.ilp lane 1: no such file", "--allow_misses", images=("b",))
    refused(place, capsys, ["other.ilp"], "other.ilp lane 1: no such file", images=())
    place.write("b.csv", GOOD)
    assert place.train("other.ilp", "b.csv", images=("b",), more=("--allow_misses",)) == 0
    assert "left out: other.ilp lane 1: no such file" in capsys.readouterr().err


def test_an_image_of_a_project_that_has_moved(place, capsys):
    """The given image of that name is taken for it, if it has its shape."""
    other(place, no_edit)
    place.write("l.csv", GOOD)
    (place.folder / "sub").mkdir()
    for name in ("a.npy", "a_s.npy"):
        Path(name).rename(f"sub/{name}")
    assert place.train("other.ilp", images=("sub/a",)) == 0
    assert "the labels are taken for the given image of that name" in capsys.readouterr().err
    moved = Path("new.ilp").read_bytes()
    assert place.train("l.csv", images=("sub/a",)) == 0
    assert moved == Path("new.ilp").read_bytes()
    for name in ("a.npy", "a_s.npy"):
        np.save(f"sub/{name}", np.load(f"sub/{name}")[:-1])
    capsys.readouterr()
    assert place.train("other.ilp", images=("sub/a",)) == 2
    assert (
        "they are for an image of shape (30, 30), sub/a_s.npy has shape (29, 30)" in capsys.readouterr().err
    )


def test_projects_of_other_thresholds(place, capsys):
    maps = np.load("a_s.npy").astype(np.float32)
    np.save("a_p.npy", np.stack([maps, 1 - maps], axis=-1))
    place.write("l.csv", GOOD)
    given = ("--raw_data", "a.npy", "--prediction_maps", "a_p.npy", "--input_axes", "yx,yxc")
    own = ("--threshold", "0.4", "--min_size", "5")
    assert place.train("l.csv", project="other.ilp", images=(), more=(*given, *own)) == 0
    expected = Path("other.ilp").read_bytes()
    for more in ((*given, *own), given):  # those of the project, where none are given
        capsys.readouterr()
        assert place.train("other.ilp", images=(), more=more) == 0
        assert Path("new.ilp").read_bytes() == expected
    assert "thresholds are those of other.ilp" in capsys.readouterr().err
    Path("new.ilp").unlink()
    refused(place, capsys, ["other.ilp"], "thresholds are not those that are given: threshold 0.4 and 0.6",
            images=(), more=(*given, *own[2:], "--threshold", "0.6"))  # fmt: skip
    assert place.train("l.csv", project="third.ilp", images=(), more=given) == 0
    refused(
        place,
        capsys,
        ["other.ilp", "third.ilp"],
        "third.ilp: its thresholds are not those of other.ilp",
        images=(),
    )
    refused(
        place,
        capsys,
        ["other.ilp"],
        "other.ilp: objects of --prediction_maps, but --segmentation_image is given",
    )
