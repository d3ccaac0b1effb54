"""What objclass exports is taken back as labels."""

import csv
from pathlib import Path

import pytest

from objclass.cli import main

CLASSES = ("dark_one", "mid", "bright, too")
TABLE = "labelimage_oid,class\n" + "".join(f'{k},"{CLASSES[k % 3]}"\n' for k in range(1, 10))


def run(*more, images=("a",)):
    return main(["--headless", "--quiet", "--project", "new.ilp", "--raw_data", *(f"{n}.npy" for n in images),
                 "--segmentation_image", *(f"{n}_s.npy" for n in images), *more])  # fmt: skip


EXPORTS = ("{nickname}.geojson", "{nickname}_objects.geojson.gz", "{nickname}.zip", "{nickname}.tracks.csv")


@pytest.mark.parametrize("name", EXPORTS)
def test_exported_objects(place, name):
    place.image("b", offset=1)
    images = ("a", "b")
    place.write("a_labels.csv", TABLE)
    assert place.train("a_labels.csv", images=images) == 0
    assert run("--export_objects", name, "--table_filename", "t.csv", "--table_only", images=images) == 0
    with open("t.csv", newline="") as file:  # what the run has found, as a table of labels
        found = [(r["Image"], r["labelimage_oid"], r["Predicted Class"]) for r in csv.DictReader(file)]
    with open("found.csv", "w", newline="") as file:
        csv.writer(file).writerows([("image", "labelimage_oid", "class"), *found])
    assert place.train("found.csv", images=images) == 0
    expected = Path("new.ilp").read_bytes()
    files = [name.format(nickname=image) for image in images]
    assert place.train(*files[::-1], images=images, project="new.ilp") == 0
    assert Path("new.ilp").read_bytes() == expected


@pytest.mark.parametrize("axes", ["zyx", "tyx"])
def test_regions_of_planes_and_time_steps(place, axes):
    """A region for each plane; the class is in the name before time step and plane, whatever it is called."""
    place.image("a", depth=3)
    table = "labelimage_oid,timestep,class\n" + "".join(
        f"{k},{t},{('x_z2', 'y_t1', 'z')[k % 3]}\n"
        for k in range(1, 10)
        for t in range(3 if axes == "tyx" else 1)
    )
    place.write("l.csv", table)
    more = ("--input_axes", axes)
    assert place.train("l.csv", more=more) == 0
    expected = Path("new.ilp").read_bytes()
    assert run("--export_objects", "a.zip", "--table_only", "--table_filename", "t.csv", *more) == 0
    assert place.train("a.zip", more=more) == 0
    assert Path("new.ilp").read_bytes() == expected


@pytest.mark.parametrize(("columns", "heading"), [("ilastik", "User Label"), ("tidy", "user_label")])
def test_the_table_of_a_run_filled_in(place, columns, heading):
    place.write("l.csv", TABLE)
    assert place.train("l.csv") == 0
    expected = Path("new.ilp").read_bytes()
    place.write("two.csv", "labelimage_oid,class\n1,mid\n2,dark_one\n")
    assert place.train("two.csv") == 0
    assert run("--table_only", "--table_filename", "t.csv", "--table_columns", columns) == 0
    with open("t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for k, row in enumerate(rows, 1):
        row[heading] = CLASSES[k % 3]
    with open("t.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert place.train("t.csv") == 0
    assert Path("new.ilp").read_bytes() == expected


def test_a_tidy_table_as_it_is(place):
    """Nothing is filled in: the classes that the run has found."""
    place.write("l.csv", TABLE)
    assert place.train("l.csv") == 0
    expected = Path("new.ilp").read_bytes()
    assert run("--table_only", "--table_filename", "t.xlsx", "--table_columns", "tidy") == 0
    assert place.train("t.xlsx") == 0
    assert Path("new.ilp").read_bytes() == expected
