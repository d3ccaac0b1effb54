"""What is taken for what: names, groups, files and images, areas that do not fit, order and limits."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import roifile

from objclass.cli import main
from objclass.compute.context import Context
from objclass.core import ArrayStore, Image, Objects
from objclass.errors import InputError
from objclass.pipeline.inputs import Inputs
from objclass.project.open import open_project
from objclass.training import lessons
from objclass.training.labels import geojson, tables
from objclass.training.labels.painted import painted_labels
from objclass.training.labels.rows import read_text_table
from objclass.training.learn import train
from objclass.training.request import TrainingRequest

GOOD = "labelimage_oid,class\n1,a\n2,b\n"


def labels_of(path="new.ilp"):
    """Lane -> the class of each labelled object of its first time step."""
    project = open_project(path)
    return {
        Path(project.lanes[lane]["raw_data"].path).stem: {
            int(k): project.classes[int(steps[0][k]) - 1] for k in np.flatnonzero(steps[0])
        }
        for lane, steps in project.labels.items()
    }


def save_rois(path, *regions):
    with zipfile.ZipFile(path, "w") as file:
        for number, (name, corners, given) in enumerate(regions):
            roi = roifile.ImagejRoi.frompoints(np.array(corners))
            roi.roitype, roi.name = roifile.ROI_TYPE.POLYGON, name
            for key, value in given.items():
                setattr(roi, key, value)
            file.writestr(f"{number}.roi", roi.tobytes())
    return str(path)


def square(k):
    """The corners of a square."""
    y, x = (k - 1) // 3 * 10, (k - 1) % 3 * 10
    return [(x, y), (x + 6, y), (x + 6, y + 6), (x, y + 6)]


@pytest.mark.parametrize(
    ("names", "groups", "more", "expected"),
    [
        (("a", "a-1", "b", "b-1"), (0,) * 4, (), "aabb"),
        (("CD4-1", "CD4-2", "b", "c"), (0,) * 4, (), ("CD4-1", "CD4-2", "b", "c")),  # no region is called CD4
        (("x", "y", "0012-0034", ""), (1, 2, 2, 1), ("--class_names", "p", "q"), "pqqp"),
        (("x", "y", "0012-0034", ""), (1, 2, 2, 1), (), ("Class 1", "Class 2", "Class 2", "Class 1")),
        (
            ("1_a", "2_b", "3_a_b", "4_a"),
            (1, 2, 3, 1),
            (),
            ("a", "b", "a_b", "a"),
        ),  # as --export_objects names them
    ],
)
def test_names_and_groups_of_regions(place, names, groups, more, expected):
    regions = [
        (name, square(k), {"group": group})
        for k, (name, group) in enumerate(zip(names, groups, strict=True), 1)
    ]
    save_rois("l.zip", *regions)
    assert place.train("l.zip", more=more) == 0
    assert labels_of()["a"] == dict(enumerate(expected, 1))


@pytest.mark.parametrize(
    ("names", "groups"),
    [("aaabba", (1, 1, 1, 2, 2, 2)), ("aaabbb", (1, 1, 1, 2, 2, 1)), ("aaab", (1, 1, 1, 1))],
)
def test_exported_regions_of_which_one_was_given_another_group(place, capsys, names, groups):
    """Its name says one class, its group another one."""
    save_rois(
        "l.zip",
        *(
            (f"{k}_{n}", square(k), {"group": g})
            for k, (n, g) in enumerate(zip(names, groups, strict=True), 1)
        ),
    )
    assert place.train("l.zip") == 2
    error = capsys.readouterr().err
    n = len(names)
    assert (
        f"l.zip region {n} '{n}_{names[-1]}': named {names[-1]}, but in group {groups[-1]}, which differs"
        in error
    )


def test_regions_of_every_shape(place):
    """Rectangles, ovals, composites with holes, and polygons between pixels."""
    box = {"left": 0, "top": 0, "right": 6, "bottom": 6}
    regions = [
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, name="a", **box),
        roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, name="b", **(box | {"left": 10, "right": 16})),
        roifile.ImagejRoi.frompoints(np.array(square(3)) + 0.4, name="c"),
    ]
    path = [4.0 if n == 12 else v for ring in (square(4), [(2, 12), (4, 12), (4, 14), (2, 14)])
            for n, v in enumerate([w for k, c in enumerate(ring) for w in (float(k > 0), *c)] + [4.0])]  # fmt: skip
    regions.append(
        roifile.ImagejRoi(
            roitype=roifile.ROI_TYPE.RECT, name="d", shape_roi_size=len(path),
            multi_coordinates=np.array(path, np.float32), **(box | {"top": 10, "bottom": 16}),
        )
    )  # fmt: skip
    with zipfile.ZipFile("l.zip", "w") as file:
        for number, roi in enumerate(regions):
            file.writestr(f"{number}.roi", roi.tobytes())
    assert place.train("l.zip") == 0
    assert labels_of()["a"] == dict(enumerate("abcd", 1))


def test_areas_need_not_fit(place, capsys):
    """One round two objects, one within an object, one that takes more than half of one, one that takes too little."""
    areas = {
        "a": [(-3, -3), (17, -3), (17, 8), (-3, 8)],
        "b": [(22, 2), (24, 2), (24, 4), (22, 4)],
        "c": [(0, 10), (4, 10), (4, 16), (0, 16)],
        "d": [(10, 10), (12, 10), (12, 19), (10, 19)],
    }
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
         "properties": {"classification": {"name": name}}} for name, ring in areas.items()
    ]  # fmt: skip
    place.write("l.geojson", json.dumps(features))
    assert place.train("l.geojson") == 0
    found = labels_of()["a"]
    assert found == {1: "a", 2: "a", 3: "b", 4: "c", 5: "d"}
    features[3]["geometry"]["coordinates"] = [[(10, 10), (12, 10), (12, 29), (10, 29)]]
    place.write("l.geojson", json.dumps(features))
    assert place.train("l.geojson") == 0
    assert labels_of()["a"] == {k: name for k, name in found.items() if k != 5}
    assert "l.geojson feature 4: there is no object with more than half of its pixels in this area of a" in (
        capsys.readouterr().err
    )


def test_classes_of_several_levels(place):
    names = [
        {"names": ["Tumor", "Ki67"]},
        {"name": "Stroma"},
        "Stroma",
        {"name": "null"},
        None,
        {"name": "Region*"},
    ]
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [10 * k + 1, 1]},
         "properties": {"classification": name}} for k, name in enumerate(names[:3])
    ] + [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [10 * k + 1, 11]},
         "properties": {"classification": name}} for k, name in enumerate(names[3:])
    ]  # fmt: skip
    place.write("l.geojson", json.dumps(features))
    assert place.train("l.geojson") == 0
    assert labels_of()["a"] == {1: "Tumor: Ki67", 2: "Stroma", 3: "Stroma"}


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.csv", "a"),
        ("a_labels.csv", "a"),
        ("a-2.csv", "a"),
        ("a2.csv", "a2"),
        ("a2 (1).csv", "a2"),
        ("x/a2.csv", "a2"),
    ],
)
def test_a_file_is_for_the_image_that_its_name_begins_with(place, name, image):
    place.image("a2", offset=1)
    place.write(name, GOOD)
    assert place.train(name, images=("a2", "a")) == 0
    assert {lane for lane, found in labels_of().items() if found} == {image}


@pytest.mark.parametrize("name", ["a3.csv", "labels.csv", "la.csv"])
def test_a_file_of_no_image(place, capsys, name):
    place.image("a2", offset=1)
    place.write(name, GOOD)
    assert place.train(name, images=("a2", "a")) == 2
    assert f"labels {name}: 2 images are given, so a column image is needed" in capsys.readouterr().err


def test_images_of_one_name_in_two_folders(place):
    for folder in ("x", "y"):
        (place.folder / folder).mkdir()
        place.image(f"{folder}/a", offset=1)
        place.write(f"{folder}/a.csv", GOOD.replace("2,", f"{'xy'.index(folder) + 3},"))
    assert place.train("y/a.csv", images=("x/a", "y/a")) == 0
    project = open_project("new.ilp")
    assert [lane["raw_data"].path for lane in project.lanes] == ["x/a.npy", "y/a.npy"]
    assert [int(np.count_nonzero(steps[0])) for steps in project.labels.values()] == [0, 2]


def test_fewer_painted_images_than_images(place, capsys):
    for name in ("a2", "b"):
        place.image(name, offset=1)
    paint = np.zeros((30, 30), int)
    paint[:6, :6], paint[:6, 10:16] = 1, 2
    place.write("a2_paint.npy", paint)
    assert place.train("a2_paint.npy", images=("b", "a2", "a")) == 0
    assert {lane for lane, found in labels_of().items() if found} == {"a2"}
    place.write("a2.npz.npy", paint)
    for names, told in (
        (("a2_paint.npy", "a2.npz.npy"), "are both for a2: give one"),
        (("a2_paint.npy",) * 4, "4 label images for 3 lanes"),
        (("a3.npy",), "1 label images for 3 lanes: expected one for each lane, or names that begin with"),
    ):
        place.write("a3.npy", paint)
        assert place.train(*names, images=("b", "a2", "a")) == 2
        assert told in capsys.readouterr().err


def test_images_and_time_steps_without_labels_are_not_looked_at(place, monkeypatch):
    """They are in the project all the same."""
    for name in "abc":
        place.image(name, steps=3)
    seen = []
    own = lessons.find_objects
    monkeypatch.setattr(
        lessons,
        "find_objects",
        lambda lane, t, *given: seen.append((lane.nickname, t)) or own(lane, t, *given),
    )
    place.write("l.csv", "image,t,labelimage_oid,class\nc,1,1,a\nc,1,2,b\n")
    paint = np.zeros((3, 30, 30), int)
    paint[2, :6, :6] = 1
    place.write("a_paint.npy", paint)
    more = ("--input_axes", "tyx", "--class_names", "a", "b")
    assert place.train("l.csv", "a_paint.npy", images=("c", "a", "b"), more=more) == 0
    assert sorted(seen) == [("a", 2), ("c", 1)]
    assert list(labels_of()) == ["a", "b", "c"]


@pytest.mark.parametrize("heading", ["track", "Track"])
def test_objects_of_a_track(place, heading):
    """They stay with the objects, and with further labels."""
    place.write("l.csv", f"labelimage_oid,class,{heading}\n3,a,t1\n1,b,\n2,a,t2\n")
    inputs = Inputs({"raw_data": ["a.npy"], "segmentation_image": ["a_s.npy"]})
    given = TrainingRequest(
        "new.ilp", inputs, ["l.csv"], features=("Standard Object Features:Mean",), trees=3
    )
    table = train(given).table
    assert dict(zip(table.label.tolist(), table.group, strict=True)) == {1: "", 2: "t2", 3: "t1"}
    place.write("l.csv", GOOD)
    assert (
        train(TrainingRequest("n.ilp", inputs, ["l.csv"], features=given.features, trees=3)).table.group == ()
    )


def test_labels_of_a_project_are_added_to_another(place):
    place.image("b", offset=1)
    place.write("a.csv", GOOD)
    place.write("b.csv", GOOD.replace(",b", ",c").replace("1,", "4,"))
    assert place.train("a.csv", project="of_a.ilp") == 0
    assert place.train("b.csv", project="of_b.ilp", images=("b",)) == 0
    more = ("--output", "both.ilp")
    command = [
        "train",
        "--project",
        "of_a.ilp",
        "--labels",
        "of_b.ilp",
        "--trees",
        "5",
        "--repeats",
        "0",
        *more,
    ]
    assert main(command) == 0
    assert labels_of("both.ilp") == {"a": {1: "a", 2: "b"}, "b": {2: "c", 4: "a"}}
    assert place.train("of_b.ilp", "a.csv", images=()) == 2  # b.csv names no image of two
    assert place.train("of_b.ilp", "of_a.ilp", images=()) == 0
    assert labels_of() == labels_of("both.ilp")


def test_images_are_added_in_any_order(place):
    for name in "bcd":
        place.image(name, offset=1)
        place.write(f"{name}.csv", GOOD.replace("1,", f"{'bcd'.index(name) + 3},"))
    assert place.train("c.csv", images="c", project="of_c.ilp") == 0
    found = []
    for images in ("bdc", "dcb"):
        Path("new.ilp").unlink(missing_ok=True)
        given = ["--raw_data", *(f"{name}.npy" for name in images)]
        given += ["--segmentation_image", *(f"{name}_s.npy" for name in images)]
        files = [f"{name}.csv" for name in images if name != "c"]
        assert (
            main(["train", "--project", "of_c.ilp", "--output", "new.ilp", *given, "--labels", *files]) == 0
        )
        found.append(Path("new.ilp").read_bytes())
    assert list(labels_of()) == ["c", "b", "d"]
    assert found[0] == found[1]


def test_paint_for_an_image_of_a_project(place):
    place.image("b", offset=1)
    place.write("b.csv", GOOD)
    assert place.train("b.csv", images="b", project="of_b.ilp") == 0
    paint = np.zeros((30, 30), int)
    paint[20:26, :6] = 2
    place.write("b_paint.npy", paint)
    assert place.train("of_b.ilp", "b_paint.npy", images=(), more=("--class_names", "a", "b")) == 0
    assert labels_of() == {"b": {1: "a", 2: "b", 7: "b"}}


def test_evaluation_takes_the_same_labels(place, capsys):
    place.image("b", offset=1)
    place.write("l.csv", "labelimage_oid,class\n" + "".join(f"{k},{'ab'[k % 2]}\n" for k in range(1, 10)))
    assert place.train("l.csv") == 0
    save_rois("b.zip", *((f"{k}_{'ab'[k % 2]}", square(k), {}) for k in range(1, 10)))
    told = []
    for labels in ("l.csv", "b.zip"):
        capsys.readouterr()
        images = ["--raw_data", "b.npy", "--segmentation_image", "b_s.npy"]
        assert main(["evaluate", "--quiet", "--project", "new.ilp", *images, "--labels", labels]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] != ""


def test_manifest_and_pair(place, capsys):
    place.image("b", offset=1)
    place.write("l.csv", "image,labelimage_oid,class\na,1,a\nb,2,b\n")
    assert place.train("l.csv", images=("a", "b")) == 0
    expected = Path("new.ilp").read_bytes()
    place.write("m.csv", "segmentation_image,raw_data,well\nb_s.npy,b.npy,A1\na_s.npy,a.npy,A2\n")
    assert place.train("l.csv", images=(), more=("--manifest", "m.csv")) == 0
    assert Path("new.ilp").read_bytes() == expected
    patterns = ("--pair", "--raw_data", "?.npy", "--segmentation_image", "?_s.npy")
    assert place.train("l.csv", images=(), more=[p.replace("?", "*") for p in patterns]) == 2
    assert "a_s.npy has no --segmentation_image" in capsys.readouterr().err  # it is a raw image as well
    (place.folder / "raw").mkdir()
    for name in "ab":
        Path(f"{name}.npy").rename(f"raw/{name}.npy")
    more = ("--pair", "--raw_data", "raw/*.npy", "--segmentation_image", "*_s.npy")
    assert place.train("l.csv", images=(), more=more) == 0
    assert labels_of() == {"a": {1: "a"}, "b": {2: "b"}}


def test_a_column_of_classes_next_to_that_of_a_run(place):
    """The column for labels by hand counts if anything is filled in there."""
    place.write("l.csv", "labelimage_oid,User Label,class\n1,0,a\n2,0,b\n")
    assert place.train("l.csv") == 0
    assert labels_of()["a"] == {1: "a", 2: "b"}
    place.write("l.csv", "labelimage_oid,User Label,class\n1,c,a\n2,0,b\n3,d,d\n")
    assert place.train("l.csv") == 0
    assert labels_of()["a"] == {1: "c", 3: "d"}


def test_points_of_several_slices(place, capsys):
    """ImageJ's multi-point tool: each point has its slice, which counts channels as well."""
    place.image("a", depth=3)
    roi = roifile.ImagejRoi.frompoints(np.array([(1, 1), (11, 1)]), name="a")
    roi.roitype = roifile.ROI_TYPE.POINT
    roi.counters, roi.counter_positions = np.zeros(2, "u4"), np.array([1, 3], "u4")
    Path("a.roi").write_bytes(roi.tobytes())
    place.write("b.csv", "x,y,z,class\n1,11,0,b\n")
    assert place.train("a.roi", "b.csv", more=("--input_axes", "zyx")) == 0
    assert labels_of()["a"] == {1: "a", 2: "a", 4: "b"}
    np.save("a.npy", np.stack([np.load("a.npy")] * 2, axis=-1))
    assert place.train("a.roi", "b.csv", more=("--input_axes", "zyxc,zyx")) == 2
    assert "a.roi region 1 'a': points of several slices of an image of 2 channels" in capsys.readouterr().err


def test_no_image_is_given(place, capsys):
    place.write("l.csv", GOOD)
    assert place.train("l.csv", images=()) == 2
    assert "training of objects needs one of --segmentation_image" in capsys.readouterr().err


def test_a_project_holds_no_trace_of_files_of_labels(place):
    place.write("my_secret_labels.csv", GOOD)
    assert place.train("my_secret_labels.csv") == 0
    with h5py.File("new.ilp") as file:
        names = []
        file.visit(names.append)
    assert b"secret" not in Path("new.ilp").read_bytes()
    assert "ObjectClassification/LabelInputs/0000/0" in names


def test_labels_without_images_are_refused(place, capsys):
    place.write("l.csv", GOOD)
    inputs = ["--raw_data", "a.npy", "--segmentation_image", "a_s.npy", "--labels", "l.csv", "--trees", "3"]
    assert main(["train", "--project", "p.ilp", *inputs, "--repeats", "0"]) == 0
    capsys.readouterr()
    assert main(["train", "--project", "p.ilp", "--output", "q.ilp", "--labels", "l.csv"]) == 2
    assert "give the images that they are of" in capsys.readouterr().err
    assert main(["evaluate", "--project", "p.ilp", "--labels", "l.csv"]) == 2
    assert "give the images that they are of" in capsys.readouterr().err


def test_paint_of_fractions_is_refused(place, capsys):
    inputs = ["--raw_data", "a.npy", "--segmentation_image", "a_s.npy"]
    paint = np.zeros(np.load("a_s.npy").shape, np.float32)
    paint[:] = 0.5
    np.save("paint.npy", paint)
    assert main(["train", "--project", "p.ilp", *inputs, "--labels", "paint.npy"]) == 2
    assert "paint.npy: values that are not whole numbers" in capsys.readouterr().err


def test_of_a_table_only_columns_that_are_used_are_kept(place):
    """Tables of measurements have hundreds of columns."""
    measurements = [f"feature {k}" for k in range(300)]
    header = ",".join(["labelimage_oid", *measurements, "class", "timestep"])
    place.write("l.csv", f"{header}\n1,{',' * 299},a\n")
    table = read_text_table("l.csv", tables._used)
    assert len(table.columns) == 303
    assert [row.cells for row in table.rows] == [{"labelimage_oid": "1", "class": "a", "timestep": ""}]
    place.write("n.csv", "axis-0,axis-1,kind,other\n1,2,a,b\n")
    assert list(read_text_table("n.csv", tables._used).rows[0].cells) == ["axis-0", "axis-1"]
    place.write("n.csv", "axis-0,axis-1,kind\n1,2,a\n")
    assert list(read_text_table("n.csv", tables._used).rows[0].cells) == ["axis-0", "axis-1", "kind"]


def test_geojson_has_a_lower_limit_than_tables(place, monkeypatch):
    """It is parsed as a whole."""
    monkeypatch.setattr(geojson, "MAXIMUM_BYTES", 1 << 20)
    place.write("l.json", " " * (1 << 20) + "[]")
    with pytest.raises(InputError, match=r"l\.json: more than 1 MB: give the labels in several files"):
        geojson.read_geojson("l.json", None)


def test_of_objects_with_mixed_paint_the_first_are_listed():
    labels = np.repeat(np.arange(1, 10, dtype=np.uint32), 3)[None, None]
    given = SimpleNamespace(classes=["a", "b"])

    def found(*values):
        image = Image("p", ArrayStore(np.tile(values, 9)[None].astype(np.uint8)), "yx", "test")
        return painted_labels(image, 0, Objects(labels, 9), given, "x", Context())

    (line,) = found(1, 1, 2).left_out
    assert "objects 1, 2, 3, 4, 5 and 4 more are painted with several classes" in line
    with pytest.raises(InputError, match="objects 1, 2, 3, 4, 5 and 4 more of x, time step 0, are painted"):
        found(1, 2, 0)
