"""Objects for other programs: each file, read by that program's library, holds the objects and no others."""

import csv
import functools
import gzip
import json
import zipfile
from dataclasses import replace
from uuid import UUID

import anndata
import h5py
import numpy as np
import pytest
import shapely
import zarr
from ome_zarr_models.v04 import Image
from ome_zarr_models.v04.image_label import ImageLabel
from scipy import ndimage

from objclass import registry
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.request import Request
from objclass.batch.task import keep, run_task
from objclass.cli import main
from objclass.compute.context import Context
from objclass.core import Lane
from objclass.errors import OutputError
from objclass.export.files import RunFiles
from objclass.export.objects.geojson import object_id
from objclass.images import from_array
from objclass.pipeline.pairing import Inputs
from objclass.project.open import open_project
from tests.conftest import SAMPLES
from tests.test_golden import CORNERS, REAL, SYNTHETIC
from tests.test_golden_small import OBJECTS, numbers, painted


def read_geojson(path):
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def masks_of_geojson(path, shape):
    image = np.zeros(shape, np.int64)
    for feature in read_geojson(path)["features"]:
        fill(image[0, 0], shapely.geometry.shape(feature["geometry"]), int(feature["properties"]["name"]))
    return image


def fill(plane, polygon, value):
    """Paint the pixels of which a polygon contains the middle; none may be painted twice."""
    assert polygon.is_valid
    left, top, right, bottom = map(int, polygon.bounds)
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    inside = shapely.contains_xy(polygon, x, y)
    part = plane[top:bottom, left:right]
    assert not part[inside].any()
    part[inside] = value


def masks_of_rois(path, shape):
    import roifile

    image = np.zeros(shape, np.int64)
    for roi in roifile.roiread(path):
        planes = image.reshape(-1, *shape[2:])
        n = max(roi.position - 1, 0)
        if roi.t_position or roi.z_position:
            n = max(roi.t_position - 1, 0) * shape[1] + max(roi.z_position - 1, 0)
        # even-odd, as a path with holes is filled
        first, *others = map(shapely.Polygon, roi.coordinates(multi=True))
        covered = functools.reduce(shapely.symmetric_difference, others, first)
        assert tuple(map(int, covered.bounds)) == (roi.left, roi.top, roi.right, roi.bottom)
        fill(planes[n], covered, int(roi.name.split("_")[0]))
    return image


def masks_of_zarr(path, shape):
    """The label image; it is checked that the table has a row for each of its values."""
    labels = zarr.open_group(path / "labels/objects", mode="r")["s0"][:]
    table = rows_of(path / "tables/objects/table.csv")
    assert [int(row["label"]) for row in table] == sorted(set(labels[labels > 0].tolist()))
    return labels


MASKS = {
    ".geojson": masks_of_geojson,
    ".geojson.gz": masks_of_geojson,
    ".zip": masks_of_rois,
    ".zarr": masks_of_zarr,
}
"""Suffix -> what paints the objects of such a file into an image (t, z, y, x)."""


def points_of_h5ad(path, ndim):
    made = anndata.read_h5ad(path)
    size = made[:, "Size in pixels"].X[:, 0] if "Size in pixels" in made.var_names else [None] * made.n_obs
    rows = zip(made.obs["frame"], made.obs["label"], made.obsm["spatial"], size, strict=True)
    return {(t, label): (center, count) for t, label, center, count in rows}


def points_of_tracks(path, ndim):
    found = {}
    for row in rows_of(path):
        center = [float(row[axis]) for axis in "xyz"]
        assert ndim == 3 or center[2] == 0
        area = np.pi * float(row["radius"]) ** ndim * (1 if ndim == 2 else 4 / 3)
        found[int(row["frame"]), int(row["label"])] = center[:ndim], area
    return found


POINTS = {".h5ad": points_of_h5ad, ".tracks.csv": points_of_tracks}
"""Suffix -> what reads time step and label -> centre x, y(, z) and size from such a file."""


def check_points(found, ids):
    """Centres and sizes are those of the pixels with these values."""
    for t, volume in enumerate(ids):
        labels = sorted(label for step, label in found if step == t)
        assert labels == sorted(set(volume[volume > 0].tolist()))
        centers = ndimage.center_of_mass(volume > 0, volume, labels) if labels else []
        counts = np.bincount(volume.ravel())
        for label, expected in zip(labels, centers, strict=True):
            center, size = found[t, label]
            assert np.allclose(center, expected[::-1][: len(center)], atol=1e-3)
            assert size is None or size == pytest.approx(counts[label], rel=1e-4)


def run(folder, *options, suffixes, name="o"):
    """One run with the label image and files of objects; returns the label image (t, z, y, x)."""
    exports = [word for suffix in suffixes for word in ("--export_objects", f"{folder}/{name}{suffix}")]
    code = main(["--headless", "--quiet", *options, *exports, "--export_source", "Object Identities",
                 "--output_axis_order", "tzyxc", "--output_format", "hdf5",
                 "--output_filename_format", f"{folder}/ids.h5", "--table_filename", f"{folder}/t.csv"])  # fmt: skip
    assert code == 0
    with h5py.File(folder / "ids.h5") as file:
        return file["exported_data"][..., 0].astype(np.int64)  # a project may store another type for it


def fitting(shape):
    """Suffixes of all formats that hold an image (t, z, y, x)."""
    return [s for entry in registry.OBJECT_FORMATS if entry.fits(shape) for s in entry.suffixes]


def check_all(folder, ids, suffixes, name="o"):
    """All files hold the objects of the label image, each under its id."""
    ndim = 3 if ids.shape[1] > 1 else 2
    for suffix in suffixes:
        path = folder / f"{name}{suffix}"
        if suffix in MASKS:
            assert np.array_equal(MASKS[suffix](path, ids.shape), ids), suffix
        if suffix in POINTS:
            check_points(POINTS[suffix](path, ndim), ids)


@pytest.mark.parametrize("given", OBJECTS, ids=lambda o: f"{o['case']}-{o['object']}")
def test_ids_are_pixel_values(tmp_path, given):
    """Objects of small golden cases, in their whole images."""
    cut = painted(given["objects"], ".#o")
    box = tuple(slice(start, start + n) for start, n in zip(given["corner"], cut.shape, strict=True))
    raw = np.zeros((*given["shape"], given["channels"]), given["dtype"])
    raw[box] = numbers(given["raw"], given["dtype"]).reshape(*cut.shape, given["channels"])
    labels = np.zeros(given["shape"], np.uint8)
    labels[box] = cut
    np.save(tmp_path / "raw.npy", raw)
    np.save(tmp_path / "labels.npy", labels)
    axes = "zyx"[-cut.ndim :]
    suffixes = fitting((1, labels.shape[0] if cut.ndim == 3 else 1))
    inputs = ("--raw_data", f"{tmp_path}/raw.npy", "--label_image", f"{tmp_path}/labels.npy")
    ids = run(tmp_path, *inputs, "--input_axes", f"{axes}c,{axes}", suffixes=suffixes)
    assert np.count_nonzero(ids) == np.count_nonzero(labels)
    check_all(tmp_path, ids, suffixes)


def check_golden(folder, case, *, project, inputs):
    """Run a golden case with all formats that hold it."""
    given = [word for role, path in inputs.items() for word in (f"--{role}", str(path))]
    has_time = any(part in case for part in ("2dt", "5t", "frame"))
    suffixes = fitting((2 if has_time else 1, 2 if "3d" in case else 1))
    ids = run(folder, "--project", str(project), *given, suffixes=suffixes)
    assert ids.any()
    check_all(folder, ids, suffixes)


QUICK = ("blobs2d", "blobs3d", "labels2d", "pred2dt")


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(c, marks=pytest.mark.slow) for c in SYNTHETIC if c not in QUICK)]
)
def test_golden_case(shared, tmp_path, case):
    folder, role = shared / "golden" / case, SYNTHETIC[case]
    inputs = {"raw_data": folder / "test_raw.h5", role: folder / f"test_{role}.h5"}
    check_golden(tmp_path, case, project=folder / f"{case}.ilp", inputs=inputs)


@pytest.mark.slow
@pytest.mark.parametrize("case", REAL)
def test_real_golden_case(shared, tmp_path, case):
    real = shared / "golden/real"
    given = json.loads((real / case / "inputs.json").read_text())
    inputs = {role: real / path for role, path in given.items()}
    check_golden(tmp_path, case, project=real / case / f"{case}.ilp", inputs=inputs)


@pytest.mark.slow
@pytest.mark.parametrize("case", CORNERS)
def test_corner_golden_case(shared, tmp_path, case):
    folder = shared / "golden/corners" / case
    objects = next(p for n in ("prediction_maps", "segmentation_image") if (p := folder / f"{n}.h5").exists())
    inputs = {"raw_data": folder / "raw.h5", objects.stem: objects}
    check_golden(tmp_path, case, project=folder / "project.ilp", inputs=inputs)


CELLS = ("--project", str(SAMPLES / "cells.ilp"), "--raw_data", str(SAMPLES / "cells.tif"),
         "--segmentation_image", str(SAMPLES / "cells_segmentation.tif"))  # fmt: skip
SPOTS = ("--project", str(SAMPLES / "spots3d.ilp"), "--raw_data", str(SAMPLES / "spots3d.tif"),
         "--label_image", str(SAMPLES / "spots3d_label_image.tif"))  # fmt: skip
TABLE_ONLY = ("--headless", "--quiet", "--table_only")


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_geojson_says_what_the_table_says(tmp_path):
    """Class, colour, measurements; ids are UUIDs that stay the same; what is not finite is left out."""
    run(tmp_path, *CELLS, suffixes=[".geojson"])
    collection = read_geojson(tmp_path / "o.geojson")
    assert collection["type"] == "FeatureCollection"
    rows = rows_of(tmp_path / "t.csv")
    assert len(collection["features"]) == len(rows) == 60
    colors = dict(
        zip(
            *(getattr(open_project(str(SAMPLES / "cells.ilp")), n) for n in ("classes", "colors")),
            strict=True,
        )
    )
    for feature, row in zip(collection["features"], rows, strict=True):
        properties = feature["properties"]
        assert feature["type"] == "Feature"
        assert UUID(feature["id"]).version == 5
        assert feature["id"] == str(object_id("cells", 0, int(row["labelimage_oid"])))
        assert properties["objectType"] == "detection"
        assert properties["name"] == row["labelimage_oid"]
        name = row["Predicted Class"]
        assert properties["classification"] == {"name": name, "color": list(colors[name])}
        numbers = {n: v for n, v in row.items() if n not in TEXTS and v}
        assert {n: np.float32(v) for n, v in properties["measurements"].items()} == {
            n: np.float32(v) for n, v in numbers.items()
        }
    assert len({feature["id"] for feature in collection["features"]}) == len(rows)


TEXTS = ("object_id", "timestep", "labelimage_oid", "User Label", "Predicted Class", "Image")


def test_numbers_that_are_not_finite_are_left_out(tmp_path):
    """QuPath refuses a file with NaN."""
    np.save(tmp_path / "labels.npy", np.eye(4, dtype=np.uint8))
    ids = run(tmp_path, "--label_image", f"{tmp_path}/labels.npy", "--features", "Standard Object Features:Count",
              "Standard Object Features:Coord<Principal<Skewness>>", suffixes=[".geojson"])  # fmt: skip
    assert ids.max() == 1  # a label image is not cut into components
    np.save(tmp_path / "labels.npy", np.array([[0, 7, 0]], np.uint8))
    run(tmp_path, "--label_image", f"{tmp_path}/labels.npy", "--features", "Standard Object Features:Count",
        "Standard Object Features:Coord<Principal<Skewness>>", suffixes=[".geojson"])  # fmt: skip
    text = (tmp_path / "o.geojson").read_text()
    assert "nan" not in text.lower()
    (feature,) = json.loads(text)["features"]
    assert "classification" not in feature["properties"]
    measured = feature["properties"]["measurements"]
    assert measured["original_oid"] == 7
    assert not any("Skewness" in name for name in measured)


def test_no_objects(tmp_path):
    """Empty files, not none."""
    np.save(tmp_path / "labels.npy", np.zeros((3, 4), np.uint8))
    image = f"{tmp_path}/labels.npy"
    ids = run(tmp_path, "--raw_data", image, "--label_image", image, suffixes=fitting((1, 1)))
    check_all(tmp_path, ids, fitting((1, 1)))
    assert read_geojson(tmp_path / "o.geojson") == {"type": "FeatureCollection", "features": []}


def test_metadata_of_the_lane(tmp_path):
    image = from_array(np.eye(2, dtype=np.uint8), "yx")
    lane = Lane(None, image, "label_image", "a", str(tmp_path), metadata=(("well", "A 1"),))
    request = Request(
        Inputs({}), objects=(f"{tmp_path}/o.geojson",), features=("regionprops:area",), table_only=True
    )
    plan = make_plan(request, [lane], None)
    (task,) = plan_tasks(replace(request, table=f"{tmp_path}/t.csv"), plan, [lane])
    files = RunFiles([task])
    keep(run_task(task, plan, files.lane(0), Context()), lambda: None)
    files.close()
    (feature,) = read_geojson(tmp_path / "o.geojson")["features"]
    assert feature["properties"]["metadata"] == {"well": "A 1"}


def test_rois_say_what_the_table_says(tmp_path):
    import roifile

    run(tmp_path, *CELLS, suffixes=[".zip"])
    rows = rows_of(tmp_path / "t.csv")
    project = open_project(str(SAMPLES / "cells.ilp"))
    rois = roifile.roiread(tmp_path / "o.zip")
    assert [roi.name for roi in rois] == [f"{row['labelimage_oid']}_{row['Predicted Class']}" for row in rows]
    with zipfile.ZipFile(tmp_path / "o.zip") as file:
        assert file.namelist() == [f"{roi.name}.roi" for roi in rois]
    for roi, row in zip(rois, rows, strict=True):
        assert roi.group == 1 + project.classes.index(row["Predicted Class"])
        assert tuple(roi.stroke_color[1:]) == project.colors[roi.group - 1]
        assert (roi.position, roi.t_position, roi.z_position) == (0, 0, 0)


def test_rois_of_stacks(tmp_path):
    """A region for each plane; in a hyperstack it knows z and t, in a plain stack the number of the plane."""
    import roifile

    run(tmp_path, *SPOTS, suffixes=[".zip"])
    rois = roifile.roiread(tmp_path / "o.zip")
    assert all(roi.name.endswith(f"_z{roi.position}") for roi in rois)
    assert len({roi.name for roi in rois}) == len(rois) > len(rows_of(tmp_path / "t.csv"))
    labels = np.zeros((2, 3, 4, 5), np.uint8)  # t, z, y, x
    labels[1, 2, 1:3, 1:3] = 5
    np.save(tmp_path / "labels.npy", labels)
    run(tmp_path, "--label_image", f"{tmp_path}/labels.npy", "--input_axes", "tzyx", suffixes=[".zip"])
    (roi,) = roifile.roiread(tmp_path / "o.zip")
    assert (roi.name, roi.position, roi.t_position, roi.z_position) == ("1_t2_z3", 0, 2, 3)


def test_anndata_says_what_the_table_says(tmp_path):
    run(tmp_path, *CELLS, suffixes=[".h5ad"])
    made = anndata.read_h5ad(tmp_path / "o.h5ad")
    rows = rows_of(tmp_path / "t.csv")
    project = open_project(str(SAMPLES / "cells.ilp"))
    assert made.X.dtype == np.float32
    assert list(made.obs_names) == [f"cells_0_{row['labelimage_oid']}" for row in rows]
    assert made.obs["class"].tolist() == [row["Predicted Class"] for row in rows]
    assert tuple(made.obs["class"].cat.categories) == project.classes
    assert list(made.uns["class_colors"]) == [
        "#{:02x}{:02x}{:02x}".format(*color) for color in project.colors
    ]
    for name in project.classes:
        given = np.array([row[f"Probability of {name}"] for row in rows], np.float32)
        assert np.array_equal(made.obs[f"p_{name}"], given)
    assert np.array_equal(made.obs["uncertainty"], np.array([row["Uncertainty"] for row in rows], np.float32))
    features = list(rows[0])[list(rows[0]).index("Image") + 1 :]
    assert list(made.var_names) == features
    for name in features:
        expected = np.array([row[name] or "nan" for row in rows], np.float32)
        found = made[:, name].X[:, 0]
        assert np.array_equal(np.where(np.isfinite(found), found, np.nan), expected, equal_nan=True)
    assert made.var.loc["Size in pixels", "unit"] == "px"
    assert made.var.loc["Size in pixels", "definition"] == "Number of pixels (voxels) of the object."
    assert made.var.loc["Size in pixels", "source"] == "Standard Object Features: Count"
    assert made.uns["objclass"]["project"] == "cells.ilp"
    assert made.uns["objclass"]["spatial_unit"] == "px"


def test_omezarr_in_the_models_of_the_format(tmp_path):
    """Image, labels and table; colours and classes of the objects; more than one level."""
    raw = np.random.default_rng(0).integers(0, 255, (1, 700, 900), np.uint8)
    labels = (np.indices((1, 700, 900)).sum(0) % 500 < 400).astype(np.uint8)
    np.save(tmp_path / "raw.npy", raw)
    np.save(tmp_path / "labels.npy", labels)
    inputs = (
        "--raw_data",
        f"{tmp_path}/raw.npy",
        "--label_image",
        f"{tmp_path}/labels.npy",
        "--input_axes",
        "zyx,zyx",
    )
    run(tmp_path, *inputs, "--features", "regionprops:area", "--pixel_size", "0.5um", suffixes=[".zarr"])
    group = zarr.open_group(tmp_path / "o.zarr", mode="r")
    image = Image.from_zarr(group)
    assert np.array_equal(group["s0"][0, 0], raw)
    assert len(image.attributes.multiscales) == 1
    inner = ImageLabel.from_zarr(group["labels/objects"])
    assert inner.attributes.image_label.source.image == "../../"
    (of_labels,) = inner.attributes.multiscales
    assert [axis.name for axis in of_labels.axes] == ["t", "z", "y", "x"]
    assert len(of_labels.datasets) == 2
    assert of_labels.datasets[0].coordinateTransformations[0].scale == [1, 0.5, 0.5, 0.5]
    assert np.array_equal(group["labels/objects/s1"][:], group["labels/objects/s0"][:, :, ::2, ::2])
    assert group["labels"].attrs["labels"] == group["tables"].attrs["tables"] == ["objects"]
    assert dict(group["tables/objects"].attrs)["region"] == {"path": "../labels/objects"}


def test_omezarr_says_what_the_table_says(tmp_path):
    run(tmp_path, *CELLS, suffixes=[".zarr"])
    project = open_project(str(SAMPLES / "cells.ilp"))
    rows, inside = rows_of(tmp_path / "t.csv"), rows_of(tmp_path / "o.zarr/tables/objects/table.csv")
    attributes = zarr.open_group(tmp_path / "o.zarr/labels/objects", mode="r").attrs["image-label"]
    for row, found, color, kind in zip(
        rows, inside, attributes["colors"], attributes["properties"], strict=True
    ):
        name = row["Predicted Class"]
        assert color == {
            "label-value": int(row["labelimage_oid"]),
            "rgba": [*project.colors[project.classes.index(name)], 255],
        }
        assert kind == {"label-value": int(row["labelimage_oid"]), "class": name}
        expected = {n: v for n, v in row.items() if n not in TEXTS}
        assert found == {"label": row["labelimage_oid"], "class": name} | expected


def test_ngio_opens_it(tmp_path):
    ngio = pytest.importorskip("ngio")
    ids = run(tmp_path, *SPOTS, suffixes=[".zarr"])
    container = ngio.open_ome_zarr_container(tmp_path / "o.zarr")
    assert container.list_labels() == container.list_tables() == ["objects"]
    assert np.array_equal(container.get_label("objects").get_as_numpy(), ids)
    table = container.get_table("objects")
    assert table.reference_label == "objects"
    assert table.dataframe.index.tolist() == list(range(1, ids.max() + 1))


def test_an_older_zarr_is_not_replaced(tmp_path, capsys):
    (tmp_path / "o.zarr").mkdir()
    assert main([*TABLE_ONLY, *CELLS, "--export_objects", f"{tmp_path}/o.zarr"]) == 2
    assert "o.zarr exists already: remove it" in capsys.readouterr().err


def test_names_of_a_profile(tmp_path):
    """Measurements are called as in the table."""
    suffixes = [".geojson", ".h5ad", ".zarr"]
    ids = run(tmp_path, *CELLS, "--table_columns", "tidy", "--pixel_size", "0.5um", suffixes=suffixes)
    check_all(tmp_path, ids, [".geojson", ".zarr"])
    row = rows_of(tmp_path / "t.csv")[0]
    measured = read_geojson(tmp_path / "o.geojson")["features"][0]["properties"]["measurements"]
    assert measured["area_um2"] == float(row["area_um2"])
    assert not {"label", "frame", "class_id"} & set(measured)
    made = anndata.read_h5ad(tmp_path / "o.h5ad")
    assert made[0, "area_um2"].X[0, 0] == pytest.approx(float(row["area_um2"]))
    assert made.var.loc["area_um2", "unit"] == "um2"
    (inside, *_) = rows_of(tmp_path / "o.zarr/tables/objects/table.csv")
    assert inside.items() <= row.items()


def test_positions_in_the_unit_of_the_pixel_size(tmp_path):
    """Anisotropic voxels: each axis has its own size."""
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 2, 3] = 1
    np.save(tmp_path / "labels.npy", labels)
    run(tmp_path, "--label_image", f"{tmp_path}/labels.npy", "--input_axes", "zyx", "--pixel_size", "z=2,y=0.5,x=0.25um",
        suffixes=[".h5ad", ".tracks.csv"])  # fmt: skip
    made = anndata.read_h5ad(tmp_path / "o.h5ad")
    assert made.obsm["spatial"].tolist() == [[0.75, 1, 2]]
    assert made.uns["objclass"]["spatial_unit"] == "um"
    (row,) = rows_of(tmp_path / "o.tracks.csv")
    assert [row[axis] for axis in "xyz"] == ["3.0", "2.0", "1.0"]
    assert [row[f"{axis}_um"] for axis in "xyz"] == ["0.75", "1.0", "2.0"]
    assert 4 / 3 * np.pi * float(row["radius_um"]) ** 3 == pytest.approx(0.25)


def test_time_series_of_points(tmp_path):
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0, 1, 1], labels[2, 2, 2:4] = 9, 4  # none at the second time step
    np.save(tmp_path / "labels.npy", labels)
    ids = run(
        tmp_path, "--label_image", f"{tmp_path}/labels.npy", "--input_axes", "tyx", suffixes=fitting((3, 1))
    )
    check_all(tmp_path, ids, fitting((3, 1)))
    rows = rows_of(tmp_path / "o.tracks.csv")
    assert [(row["frame"], row["x"], row["y"], row["label"]) for row in rows] == [
        ("0", "1.0", "1.0", "1"),
        ("2", "2.5", "2.0", "1"),
    ]
    assert anndata.read_h5ad(tmp_path / "o.h5ad").obs["original_oid"].tolist() == [9, 4]


def test_metadata_that_anndata_has_itself(tmp_path):
    image = from_array(np.eye(2, dtype=np.uint8), "yx")
    lane = Lane(None, image, "label_image", "a", str(tmp_path), metadata=(("frame", "7"),))
    request = Request(
        Inputs({}), objects=(f"{tmp_path}/o.h5ad",), features=("regionprops:area",), table_only=True
    )
    plan = make_plan(request, [lane], None)
    with pytest.raises(
        OutputError, match="o.h5ad: has a column 'frame' of its own: give the metadata column"
    ):
        plan_tasks(request, plan, [lane])


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (SPOTS, "a.geojson", "a.geojson: QuPath GeoJSON holds no volumes: give a name in .zip, "),
        (CELLS, "a.csv", "a.csv: expected a name that ends in .geojson, .geojson.gz, .zip, "),
        (CELLS, "{nick}.zip", "{nickname}"),
        (("--label_image", str(SAMPLES / "cells_segmentation.tif")), "a.zarr", "give --raw_data"),
        (CELLS, "t.csv/a.zip", "t.csv is not a folder"),
        (CELLS, "", "the path of an output is empty"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, options, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").touch()
    before = sorted(tmp_path.iterdir())
    assert main([*TABLE_ONLY, *options, "--table_filename", "u.csv", "--export_objects", name]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_time_series_are_refused_where_they_do_not_fit(tmp_path, capsys):
    np.save(tmp_path / "labels.npy", np.ones((2, 3, 4), np.uint8))
    code = main([*TABLE_ONLY, "--label_image", f"{tmp_path}/labels.npy", "--input_axes", "tyx",
                 "--export_objects", f"{tmp_path}/a.geojson", "--table_filename", f"{tmp_path}/t.csv"])  # fmt: skip
    assert code == 2
    assert "a.geojson: QuPath GeoJSON holds no time series: give a name in .zip, " in capsys.readouterr().err


def test_a_library_that_is_not_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("objclass.export.objects.object_sink.find_spec", lambda _: None)
    assert main([*TABLE_ONLY, *CELLS, "--export_objects", f"{tmp_path}/a.zip"]) == 2
    error = capsys.readouterr().err
    assert 'is written with roifile, which is not installed: pip install "objclass[roi]"' in error


def test_rois_of_large_images(tmp_path):
    """Coordinates beyond 15 bits, and an object that is longer than that."""
    labels = np.zeros((4, 60_000), np.uint8)
    labels[0, 50_000:50_003], labels[2, 10:50_000] = 1, 2
    np.save(tmp_path / "labels.npy", labels)
    options = ("--label_image", f"{tmp_path}/labels.npy", "--features", "regionprops:area")
    check_all(tmp_path, run(tmp_path, *options, suffixes=[".zip"]), [".zip"])


def test_an_image_that_is_too_large_for_imagej(tmp_path, capsys):
    np.save(tmp_path / "labels.npy", np.ones((1, 60_536), np.uint8))
    assert (
        main(
            [*TABLE_ONLY, "--label_image", f"{tmp_path}/labels.npy", "--export_objects", f"{tmp_path}/a.zip"]
        )
        == 2
    )
    assert "up to 60535 rows and columns" in capsys.readouterr().err


def test_two_images_in_one_file_are_refused(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.eye(3, dtype=np.uint8))
    np.save(tmp_path / "b.npy", np.eye(3, dtype=np.uint8))
    lanes = ("--label_image", f"{tmp_path}/a.npy", f"{tmp_path}/b.npy")
    assert main([*TABLE_ONLY, *lanes, "--export_objects", f"{tmp_path}/o.zip"]) == 2
    assert (
        "both the objects of a and the objects of b would be written there: use {nickname}"
        in capsys.readouterr().err
    )
    assert main([*TABLE_ONLY, *lanes, "--export_objects", f"{tmp_path}/{{nickname}}.zip"]) == 0
    assert (tmp_path / "a.zip").exists()
    assert (tmp_path / "b.zip").exists()


def test_a_lane_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError

    older = tmp_path / "o.geojson"
    older.write_text("older")
    monkeypatch.setattr("objclass.export.sinks.TableSink.step", fails)
    exports = [word for s in fitting((1, 1)) for word in ("--export_objects", f"{tmp_path}/o{s}")]
    assert main([*TABLE_ONLY, *CELLS, *exports, "--table_filename", f"{tmp_path}/t.csv"]) != 0
    assert older.read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} <= {"o.geojson", "objclass_run.json"}


@pytest.mark.parametrize(("inputs", "shape"), [(CELLS, (1, 1)), (SPOTS, (1, 2))], ids=["cells", "spots"])
def test_the_same_bytes_for_any_threads_and_blocks(tmp_path, inputs, shape):
    for name, options in (("a", ("--jobs", "1")), ("b", ("--jobs", "2", "--block_shape", "7"))):
        run(tmp_path, *inputs, *options, suffixes=fitting(shape), name=name)
    for suffix in fitting(shape):
        assert contents(tmp_path / f"a{suffix}") == contents(tmp_path / f"b{suffix}"), suffix


def contents(path):
    """All bytes of a file, or of the files in a folder."""
    if path.is_file():
        return path.read_bytes()
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
