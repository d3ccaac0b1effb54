"""Real annotations: blood cells by id, by centre, painted and from a project."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from objclass.cli import main
from objclass.project.open import open_project

KINDS = ("RBC", "WBC", "Platelets")


@pytest.fixture
def cells(shared, tmp_path, monkeypatch):
    """The first images that have objects of all classes, and the rows of their objects."""
    folder = shared / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("no blood cells here")
    monkeypatch.chdir(tmp_path)
    by_image = {}
    with (folder / "objects.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            by_image.setdefault(row["image"], []).append(row)
    chosen = [name for name, rows in by_image.items() if {row["class"] for row in rows} == set(KINDS)][:3]
    return folder, {name: by_image[name] for name in chosen}


def write(name, header, rows):
    with open(name, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return [name]


def test_blood_cells(cells):
    folder, by_image = cells
    found = [row for rows in by_image.values() for row in rows]
    raw = [str(folder / "images" / f"{name}.jpg") for name in by_image]
    ids = [str(folder / "labels" / f"{name}_labels.tif") for name in by_image]

    def learned(labels, *, images=True):
        given = ["--raw_data", *raw, "--label_image", *ids] if images else []
        command = ["train", "--project", "new.ilp", "--overwrite", *given, "--labels", *labels, "--trees", "5",
                   "--class_names", *KINDS, "--features", "Standard Object Features:Mean", "--jobs", "2", "--repeats", "0"]  # fmt: skip
        assert main(command) == 0
        return Path("new.ilp").read_bytes()

    by_id = write(
        "ids.csv",
        ["image", "original_oid", "class"],
        [(r["image"], r["label_id"], r["class"]) for r in found],
    )
    expected = learned(by_id)
    by_center = write(
        "at.csv",
        ["class", "y", "x", "image"],
        [(r["class"], r["centroid_y"], r["centroid_x"], r["image"]) for r in found],
    )
    assert learned(by_center) == expected
    Path("new.ilp").rename("other.ilp")
    assert learned(["other.ilp"], images=False) == expected
    painted = []
    for name, path in zip(by_image, ids, strict=True):
        kinds = np.zeros(1 + max(int(r["label_id"]) for r in by_image[name]), np.uint8)
        for r in by_image[name]:
            kinds[int(r["label_id"])] = KINDS.index(r["class"]) + 1
        painted.append(f"{name}_painted.tif")
        tifffile.imwrite(painted[-1], kinds[tifffile.imread(path)])
    assert learned([*painted, *by_center]) == expected
    run = ["--headless", "--quiet", "--project", "new.ilp", "--raw_data", *raw, "--label_image", *ids, "--table_only",
           "--export_objects", "{nickname}.geojson", "--table_filename", "t.csv"]  # fmt: skip
    assert main(run) == 0
    predicted = {}
    with open("t.csv", newline="") as file:
        for r in csv.DictReader(file):
            predicted[r["Image"], r["original_oid"].partition(".")[0]] = r["Predicted Class"]
    exported = learned([f"{name}.geojson" for name in by_image])
    assert exported == learned(
        write(
            "found.csv", ["image", "original_oid", "class"], [(*key, kind) for key, kind in predicted.items()]
        )
    )


def test_strokes_over_a_label_image(shared, tmp_path, monkeypatch):
    """Strokes that cross several objects and background, on a label image of floating-point numbers."""
    folder = shared / "data" / "apoc-demo"
    if not folder.is_dir():
        pytest.skip("no annotations here")
    monkeypatch.chdir(tmp_path)
    paint, ids = (tifffile.imread(folder / name) for name in ("label_annotation.tif", "labels.tif"))
    given = [
        "--raw_data",
        str(folder / "blobs.tif"),
        "--label_image",
        str(folder / "labels.tif"),
        "--trees",
        "5",
    ]
    command = [
        "train",
        "--overwrite",
        *given,
        "--allow_misses",
        "--features",
        "Standard Object Features:Mean",
    ]
    assert main([*command, "--project", "new.ilp", "--labels", str(folder / "label_annotation.tif")]) == 0
    rows = []
    for k in np.unique(ids[(paint > 0) & (ids > 0)]).tolist():
        values, counts = np.unique(paint[(ids == k) & (paint > 0)], return_counts=True)
        rows.append((int(k), f"Class {values[counts.argmax()]}"))
    write("l.csv", ["original_oid", "class"], rows)
    assert main([*command, "--project", "other.ilp", "--labels", "l.csv"]) == 0
    assert Path("new.ilp").read_bytes() == Path("other.ilp").read_bytes()


@pytest.mark.parametrize("name", ["labels2d", "pred2dt"])
def test_labels_of_ilastik(shared, tmp_path, monkeypatch, name):
    """Images, objects and classes are those of the project; nothing else is given."""
    monkeypatch.chdir(tmp_path)
    theirs = shared / "golden" / name / f"{name}.ilp"
    command = ["train", "--project", "new.ilp", "--labels", str(theirs), "--trees", "5", "--repeats", "0"]
    assert main([*command, "--features", "Standard Object Features:Mean"]) == 0
    ours, theirs = open_project("new.ilp"), open_project(str(theirs))
    assert ours.role == theirs.role
    assert classes_of(ours) == classes_of(theirs)


def classes_of(project):
    """The class of each labelled object by lane, time step and id."""
    return {
        (lane, t, int(k)): project.classes[int(classes[k]) - 1]
        for lane, steps in project.labels.items()
        for t, classes in steps.items()
        for k in np.flatnonzero(classes)
    }
