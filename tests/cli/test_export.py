"""Each option of ilastik's export page, as a user gives it; results are compared with a one-liner of
numpy on the default export."""

import json
import os
import shutil
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from objclass.cli import main
from objclass.export.naming import PLACEHOLDERS
from objclass.images import open_image
from tests.conftest import SAMPLES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cells(samples, *options):
    """A plane, 320 × 320, three classes."""
    return main([
        "--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--raw_data", str(samples / "cells.tif"),
        "--segmentation_image", str(samples / "cells_segmentation.tif"), "--output_filename_format", "out", *options,
    ])  # fmt: skip


def spots(samples, *options):
    """A volume, 20 × 96 × 96, two classes."""
    return main([
        "--headless", "--quiet", "--project", str(samples / "spots3d.ilp"), "--raw_data", str(samples / "spots3d.tif"),
        "--label_image", str(samples / "spots3d_label_image.tif"), "--output_filename_format", "out", *options,
    ])  # fmt: skip


PROBABILITIES = ("--export_source", "Object Probabilities")


def stored(path="out.h5", name="exported_data"):
    with h5py.File(path) as file:
        return file[name][()]


def keys(path="out.h5", name="exported_data"):
    with h5py.File(path) as file:
        return "".join(axis["key"] for axis in json.loads(file[name].attrs["axistags"])["axes"])


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """The class image of the volume, as exported by default: z, y, x, c."""
    samples = shutil.copytree(SAMPLES, tmp_path_factory.mktemp("classes") / "samples")
    assert spots(samples, "--output_filename_format", f"{samples}/default") == 0
    return stored(f"{samples}/default.h5")


@pytest.fixture(scope="module")
def chances(tmp_path_factory):
    """The probability image of the plane, as exported by default: y, x, c."""
    samples = shutil.copytree(SAMPLES, tmp_path_factory.mktemp("chances") / "samples")
    assert cells(samples, *PROBABILITIES, "--output_filename_format", f"{samples}/default") == 0
    return stored(f"{samples}/default.h5")


# --- part


@pytest.mark.parametrize(
    ("region", "cut"),
    [
        ("[(0,20,10,5,0), (1,90,50,15,1)]", np.s_[5:15, 10:50, 20:90]),  # t, x, y, z, c
        ("[[0,20,10,5,0], [1,90,50,15,1]]", np.s_[5:15, 10:50, 20:90]),
        ("[(None,20,None,5,None), (None,None,50,None,None)]", np.s_[5:, :50, 20:]),
        ("[(5,10,20,0), (15,50,90,1)]", np.s_[5:15, 10:50, 20:90]),  # the axes of the output
    ],
)
def test_part(here, samples, classes, region, cut):
    assert spots(samples, "--cutout_subregion", region) == 0
    assert np.array_equal(stored(), classes[cut])


def test_part_in_the_order_of_the_output(here, samples, classes):
    assert spots(samples, "--output_axis_order", "xyz", "--cutout_subregion", "[(20,10,5), (90,50,15)]") == 0
    assert np.array_equal(stored(), classes[5:15, 10:50, 20:90, 0].T)


def test_part_of_the_channels(here, samples, chances):
    assert cells(samples, *PROBABILITIES, "--cutout_subregion", "[(0,0,1), (9,9,3)]") == 0
    assert np.array_equal(stored(), chances[:9, :9, 1:3])


def test_part_beyond_the_image_is_clipped_with_a_warning(here, samples, classes, capsys):
    assert spots(samples, "--cutout_subregion", "[(0,20,-5,5,0), (9,900,50,15,1)]") == 0
    assert np.array_equal(stored(), classes[5:15, :50, 20:])
    assert capsys.readouterr().err.count("clipped to the image") == 1


@pytest.mark.parametrize(
    ("region", "told"),
    [
        ("[(0,0,0), (1,1,1)]", "subregion of 3 axes: expected 5 (txyzc) or 4 (zyxc)"),
        ("[(0,0,0,0,0), (1,1,1,1)]", "differ in length"),
        ("[(0,0,0,0,0)]", 'expected "[(start, …), (stop, …)]"'),
        ("[(0,0,0,0,0), (1,1.5,1,1,1)]", "whole numbers"),
        ("5", "whole numbers"),
        ("[" * 9000, "whole numbers"),
        ("[(0,90,0,0,0), (1,20,9,9,1)]", "subregion 90 to 20 along x"),
    ],
)
def test_part_that_is_none(here, samples, capsys, region, told):
    assert spots(samples, "--cutout_subregion", region) == 2
    err = capsys.readouterr().err.strip()
    assert told in err
    assert "\n" not in err
    assert os.listdir(here) == []


# --- type


@pytest.mark.parametrize(
    "dtype",
    [
        *("uint8", "int16", "float64"),
        *(
            pytest.param(dtype, marks=pytest.mark.slow)
            for dtype in ("uint16", "uint32", "int8", "int32", "float32")
        ),
    ],
)
def test_type(here, samples, classes, dtype):
    assert spots(samples, "--export_dtype", dtype) == 0
    assert stored().dtype == dtype
    assert np.array_equal(stored(), classes.astype(dtype))


def test_fractions_are_cut_off(here, samples, chances):
    assert cells(samples, *PROBABILITIES, "--export_dtype", "uint8") == 0
    assert np.array_equal(stored(), chances.astype(np.uint8))
    assert set(np.unique(chances)) - {0, 1}


def test_what_does_not_fit_wraps_with_one_warning(here, samples, capsys):
    labels = np.zeros((3, 20, 40), np.uint16)
    labels[:, ::2, ::2] = np.arange(1, 601).reshape(3, 10, 20)
    np.save("labels.npy", labels)
    run = ["--headless", "--quiet", "--label_image", "labels.npy", "--input_axes", "tyx", "--features",
           "regionprops:area", "--output_filename_format"]  # fmt: skip
    labels[1:, 2::2, 2::2] = 0
    assert main([*run, "default"]) == 0
    capsys.readouterr()
    ids = stored("default.h5")
    assert ids.max() < 256
    np.save("labels.npy", np.arange(1, 2401, dtype=np.uint16).reshape(3, 20, 40))
    assert main([*run, "default"]) == 0
    ids = stored("default.h5")
    assert main([*run, "small", "--export_dtype", "uint8"]) == 0
    assert np.array_equal(stored("small.h5"), ids.astype(np.uint8))
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "looks like" not in line)
    assert f"{(ids > 255).sum()} values do not fit into uint8 and wrap around" in told
    assert "small.h5" in told
    assert main([*run, "float", "--export_dtype", "float32"]) == 0
    assert main([*run, "fits", "--export_dtype", "uint16"]) == 0
    assert "do not fit" not in capsys.readouterr().err


# --- axes


@pytest.mark.parametrize("order", ["xyzc", "zyx", "tzyxc", "CXYZ", "czxyt"])
def test_order_of_axes(here, samples, classes, order):
    assert spots(samples, "--output_axis_order", order) == 0
    letters = order.lower()
    lengths = {"z": 20, "y": 96, "x": 96, "t": 1, "c": 1}
    rest = [axis for axis in letters if axis not in "tc"]
    expected = classes[..., 0].transpose(["zyx".index(axis) for axis in rest])
    assert np.array_equal(stored(), expected.reshape([lengths[axis] for axis in letters]))
    assert keys() == letters


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("xyc", "leaves out z, along which"),
        ("cx", "leaves out z, y, along which"),
        ("xyq", "expected letters of txyzc"),
        ("xyzX", "each once"),
        ("", "expected letters"),
    ],
)
def test_order_of_axes_that_is_none(here, samples, capsys, order, told):
    assert spots(samples, "--output_axis_order", order) == 2
    err = capsys.readouterr().err.strip()
    assert told in err
    assert "\n" not in err
    assert os.listdir(here) == []


# --- range


def test_range_of_fractions_is_rounded_half_to_even(here, samples, chances):
    ranges = ("--pipeline_result_drange", "(0.0, 1.0)", "--export_drange", "(0, 255)")
    assert cells(samples, *PROBABILITIES, *ranges) == 0
    assert stored().dtype == np.float32
    assert np.array_equal(stored(), chances * np.float32(255))
    assert cells(samples, *PROBABILITIES, *ranges, "--export_dtype", "uint8") == 0
    assert np.array_equal(stored(), np.rint(chances * np.float32(255)).astype(np.uint8))


def test_range_with_offsets_is_not_clipped(here, samples, chances):
    ranges = ("--pipeline_result_drange", "(0.25, 0.75)", "--export_drange", "(-100, 100)")
    assert cells(samples, *PROBABILITIES, *ranges, "--export_dtype", "int16") == 0
    expected = np.rint(-100 + (chances - np.float32(0.25)) * np.float32(400)).astype(np.int16)
    assert np.array_equal(stored(), expected)
    assert expected.min() == -200


def test_range_of_whole_numbers_is_cut_off(here, samples, classes):
    ranges = ("--pipeline_result_drange", "(0, 2)", "--export_drange", "(10, 15)")
    assert spots(samples, *ranges) == 0
    assert stored().dtype == np.uint8
    assert np.array_equal(stored(), (10 + classes * 2.5).astype(np.uint8))
    assert set(np.unique(stored())) == {10, 12, 15}


def test_range_without_spread_and_range_alone(here, samples, classes):
    assert spots(samples, "--pipeline_result_drange", "(3, 3)", "--export_drange", "(7, 9)") == 0
    assert (stored() == 7).all()
    assert spots(samples, "--pipeline_result_drange", "(0, 2)") == 0
    assert np.array_equal(stored(), classes)


@pytest.mark.parametrize("given", ["(0)", "(0, 1, 2)", "(a, b)", "(0, nan)", ""])
def test_range_that_is_none(here, samples, capsys, given):
    assert spots(samples, "--pipeline_result_drange", given, "--export_drange", "(0, 255)") == 2
    assert "expected two numbers" in capsys.readouterr().err
    assert spots(samples, "--export_drange", "(0, 255)") == 2
    assert "--pipeline_result_drange" in capsys.readouterr().err


def test_all_at_once(here, samples, chances):
    """Part, range, type, order of axes: in this order."""
    assert cells(
        samples, *PROBABILITIES, "--cutout_subregion", "[(0,10,20,0,1), (1,40,60,1,3)]",
        "--pipeline_result_drange", "(0, 1)", "--export_drange", "(0, 1000)", "--export_dtype", "uint16",
        "--output_axis_order", "cxyt",
    ) == 0  # fmt: skip
    expected = np.rint(chances[20:60, 10:40, 1:] * np.float32(1000)).astype(np.uint16)
    assert np.array_equal(stored(), expected.transpose(2, 1, 0)[..., None])


# --- names


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("volume/classes", "volume/classes"),
        ("/a/b/c", "a/b/c"),
        ("{nickname}/{result_type}", "spots3d/Object Predictions"),
        ("from_{x_start:03}_to_{x_stop}", "from_020_to_96"),
        ("", "exported_data"),
    ],
)
def test_internal_path(here, samples, classes, given, name):
    region = ("--cutout_subregion", "[(0,20,0,0,0), (1,None,None,None,1)]")
    assert spots(samples, "--output_internal_path", given, *region) == 0
    assert np.array_equal(stored(name=name), classes[..., 20:, :])


@pytest.mark.parametrize("given", ["/", "a//b", "../x", "a/./b"])
def test_internal_path_that_is_none(here, samples, capsys, given):
    assert spots(samples, "--output_internal_path", given) == 2
    assert "--output_internal_path" in capsys.readouterr().err
    assert os.listdir(here) == []


def test_datasets_within_each_other_are_refused(here, samples, capsys):
    both = ("--export_object_prediction_img", "--export_object_identities_img")
    path = ("--output_internal_path", "a{result_type}")
    assert spots(samples, *both, *path) == 0
    assert stored(name="aObject Predictions").shape == stored(name="aObject Identities").shape
    assert spots(samples, *both, "--output_internal_path", "a") == 2
    assert "out.h5: both Object Predictions of spots3d and Object Identities" in capsys.readouterr().err


def test_placeholders_in_names(here, samples, classes):
    pattern = (
        "{nickname}/{result_type} {t_start}-{t_stop} {x_start:03}-{x_stop} {y_start}-{y_stop:>4} {z_start}-{z_stop} "
        "{c_start}-{c_stop} {roi}"
    )
    region = "[(0,20,10,5,0), (1,90,50,15,1)]"
    assert spots(samples, "--output_filename_format", pattern, "--cutout_subregion", region) == 0
    name = "Object Predictions 0-1 020-90 10-  50 5-15 0-1 [(0, 20, 10, 5, 0), (1, 90, 50, 15, 1)].h5"
    assert np.array_equal(stored(here / "spots3d" / name), classes[5:15, 10:50, 20:90])


def test_all_placeholders_are_known(here, samples):
    pattern = " ".join(f"{{{name}}}" for name in PLACEHOLDERS[1:])
    assert spots(samples, "--output_filename_format", pattern) == 0
    [written] = here.glob("*.h5")
    assert "{" not in written.name


@pytest.mark.parametrize(
    ("option", "template", "told"),
    [
        ("output_filename_format", "{nicknmae}", "no placeholder {nicknmae} (did you mean {nickname}?)"),
        ("output_filename_format", "a{slice_index}", "no placeholder {slice_index}: expected {dataset_dir}"),
        ("output_filename_format", "{nickname}{colour:3}", "no placeholder {colour}: expected {dataset_dir}"),
        ("output_internal_path", "{result_typ}", "(did you mean {result_type}?)"),
        (
            "table_filename",
            "{nicknam}.csv",
            "(did you mean {nickname}?): expected {dataset_dir} {nickname}\n",
        ),
        ("table_filename", "{result_type}.csv", "no placeholder {result_type}: expected"),
    ],
)
def test_unknown_placeholders_are_refused_unless_as_in_ilastik(here, samples, capsys, option, template, told):
    assert spots(samples, f"--{option}", template) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"objclass: error: --{option} '{template}': there is ")
    assert told in error
    assert os.listdir(here) == []
    assert spots(samples, f"--{option}", template, "--ilastik_names") == 0
    if option != "output_internal_path":
        assert any("{" in name for name in os.listdir(here))


def test_folder_of_the_data(here, samples, classes):
    assert spots(samples, "--output_filename_format", "{dataset_dir}/x/{nickname}.tiff") == 0
    assert np.array_equal(stored(samples / "x/spots3d.h5"), classes)


def test_home_and_relative_names(here, samples, classes, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    assert spots(samples, "--output_filename_format", "~/{nickname}") == 0
    assert np.array_equal(stored(here / "home/spots3d.h5"), classes)
    assert spots(samples, "--output_filename_format", "a/../b") == 0
    assert np.array_equal(stored(here / "b.h5"), classes)


@pytest.mark.parametrize("pattern", ["{x_start", "{nickname:d}", ""])
def test_pattern_that_is_none(here, samples, capsys, pattern):
    assert spots(samples, "--output_filename_format", pattern) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith("objclass: error: ")
    assert "\n" not in err
    assert os.listdir(here) == []


# --- formats


def shown(path):
    """A file of one plane, as other programs see it."""
    if path.endswith(".xv"):
        data = Path(path).read_bytes()
        columns, rows = np.frombuffer(data, ">u4", 2, 520)
        return np.frombuffer(data, np.uint8, offset=1024).reshape(rows, columns)
    if path.endswith((".tif", ".tiff")):
        return tifffile.imread(path)
    if path.endswith((".pbm", ".pgm", ".pnm", ".ppm")):  # Pillow would stretch values to the stated maximum
        _, size, _, pixels = Path(path).read_bytes().split(b"\n", 3)
        return np.frombuffer(pixels, np.uint8).reshape([int(n) for n in size.split()][::-1])
    with Pillow.open(path) as image:
        return np.asarray(image)


PLANES = ("bmp", "gif", "pbm", "pgm", "png", "pnm", "ppm", "ras", "tif", "tiff", "xv")


@pytest.mark.parametrize("name", PLANES)
def test_formats_of_one_plane(here, samples, name):
    assert cells(samples) == 0
    assert cells(samples, "--output_format", name, "--output_filename_format", "out.png") == 0
    assert np.array_equal(shown(f"out.{name}"), stored()[..., 0])


@pytest.mark.parametrize("name", ["jpg", "jpeg"])
def test_jpeg_warns(here, samples, name, capsys):
    assert cells(samples) == 0
    assert cells(samples, "--output_format", name) == 0
    assert "change values a little" in capsys.readouterr().err
    found = shown(f"out.{name}").astype(int)
    assert np.abs(found - stored()[..., 0]).max() <= 2


def test_probabilities_of_three_classes_as_hdr(here, samples, chances):
    assert cells(samples, *PROBABILITIES, "--output_format", "hdr") == 0
    found = imagecodecs.rgbe_decode((here / "out.hdr").read_bytes())
    assert np.abs(found - chances).max() <= 1 / 128


@pytest.mark.parametrize("name", PLANES)
def test_sequences(here, samples, classes, name):
    pattern = ("--output_filename_format", "deep/{nickname}_{slice_index}")
    assert spots(samples, "--output_format", f"{name} sequence", *pattern) == 0
    assert sorted(os.listdir("deep")) == sorted(
        ["objclass_run.json", *(f"spots3d_{z:02}.{name}" for z in range(20))]
    )
    for z, plane in enumerate(classes[..., 0]):
        assert np.array_equal(shown(f"deep/spots3d_{z:02}.{name}"), plane)


def test_numbers_of_slices(here, samples, classes):
    pattern = (
        "--output_format",
        "png sequence",
        "--output_filename_format",
        "{slice_index:04}_{slice_index}_{z_start}",
    )
    region = ("--cutout_subregion", "[(0,0,0,7,0), (1,96,96,11,1)]")
    assert spots(samples, *pattern, *region) == 0
    names = sorted(p.name for p in here.glob("*.png"))
    assert names == [f"{z:04}_{z:02}_7.png" for z in range(7, 11)]  # as ilastik: two digits for 11
    assert np.array_equal(np.stack([shown(name) for name in names]), classes[7:11, ..., 0])
    assert spots(samples, *pattern, "--cutout_subregion", "[(0,0,0,5,0), (1,96,96,9,1)]") == 0
    assert (here / "0005_5_5.png").exists()


def test_sequences_along_other_axes(here, samples, classes, chances):
    pattern = ("--output_filename_format", "{slice_index}", "--output_format", "tif sequence")
    assert spots(samples, *pattern, "--output_axis_order", "xzy") == 0
    # rows and columns are z and y, whatever their order: y goes with rows, as in the format of one plane
    assert np.array_equal(np.stack([tifffile.imread(f"{x:02}.tif") for x in range(96)]),
                          classes[..., 0].transpose(2, 0, 1))  # fmt: skip
    assert cells(samples, *PROBABILITIES, *pattern, "--output_axis_order", "cyx") == 0
    assert np.array_equal(np.stack([tifffile.imread(f"{c}.tif") for c in range(3)], axis=-1), chances)


def test_sequence_of_volumes(here, samples):
    labels = np.random.default_rng(0).integers(0, 9, (3, 4, 20, 30), np.uint8)
    np.save("labels.npy", labels)
    run = ["--headless", "--quiet", "--label_image", "labels.npy", "--input_axes", "tzyx", "--features",
           "regionprops:area", "--output_filename_format"]  # fmt: skip
    assert main([*run, "default"]) == 0
    assert main([*run, "t{slice_index}", "--output_format", "multipage tiff sequence"]) == 0
    for t, volume in enumerate(stored("default.h5")[..., 0]):
        assert np.array_equal(tifffile.imread(f"t{t}.tiff"), volume)
    # slices that no block has whole
    assert (
        main(
            [
                *run,
                "z{slice_index}",
                "--output_format",
                "multipage tiff sequence",
                "--output_axis_order",
                "ztyx",
            ]
        )
        == 0
    )
    for z in range(4):
        assert np.array_equal(tifffile.imread(f"z{z}.tiff"), stored("default.h5")[:, z, ..., 0])


def test_sequences_are_read_again_as_a_stack(here, samples, classes):
    assert (
        spots(samples, "--output_format", "png sequence", "--output_filename_format", "s_{slice_index}") == 0
    )
    assert np.array_equal(open_image("s_*.png").read()[0], classes)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--output_format", "png sequence"),
            "expected {slice_index} in it, the number of each of the 20 files",
        ),
        (("--output_format", "png sequence", "--export_dtype", "uint32"), "use tiff sequence"),
        (("--output_format", "png sequence", *PROBABILITIES), "use tiff sequence"),
        (("--output_format", "jpg"), "use multipage tiff"),
        (("--output_format", "multipage tiff sequence"), "use multipage tiff"),
        (
            ("--output_format", "png sequence", "--cutout_subregion", "[(0,0,0,3,0), (1,96,96,4,1)]"),
            "use png",
        ),
        (("--output_format", "docx"), "png sequence"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_the_run(here, samples, capsys, options, told):
    assert spots(samples, *options) == 2
    err = capsys.readouterr().err.strip()
    assert told in err
    assert "\n" not in err
    assert os.listdir(here) == []


def test_slices_over_inputs_are_refused(here, samples, capsys):
    for z, plane in enumerate(tifffile.imread(samples / "spots3d_label_image.tif")):
        tifffile.imwrite(f"l_{z:02}.tif", plane)
    run = ["--headless", "--quiet", "--label_image", "l_*.tif", "--features", "regionprops:area",
           "--output_format", "tif sequence", "--output_filename_format"]  # fmt: skip
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert main([*run, "l_{slice_index}"]) == 2
    assert "l_00.tif: Object Identities of l_ would overwrite an input" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_sequence_that_fails_leaves_nothing(here, samples, monkeypatch, capsys):
    from objclass.images.formats import netpbm

    writes = []

    def fail(self, *_):
        writes.append(self)
        if len(writes) > 7:
            message = "the disk is full"
            raise OSError(message)

    monkeypatch.setattr(netpbm.PgmWriter, "write", fail)
    assert spots(samples, "--output_format", "pgm sequence", "--output_filename_format", "{slice_index}") == 3
    assert "the disk is full" in capsys.readouterr().err
    assert os.listdir(here) == ["objclass_run.json"]


@pytest.mark.parametrize("name", ["tiff", "multipage tiff"])
def test_compressed_tiff_is_smaller_and_the_same(here, samples, name):
    for kind in ("", "compressed "):
        assert (
            cells(samples, "--output_format", f"{kind}{name}", "--output_filename_format", f"{kind}out") == 0
        )
    plain, packed = here / "out.tiff", here / "compressed out.tiff"
    assert packed.stat().st_size < plain.stat().st_size / 5
    assert np.array_equal(tifffile.imread(packed), tifffile.imread(plain))


def test_classes_of_a_project_without_colors_get_some(here, samples):
    with h5py.File(samples / "cells.ilp", "a") as file:
        del file["ObjectClassification/LabelColors"]
    assert cells(samples, "--export_colors", "--output_filename_format", "{nickname}_{result_type}") == 0
    assert len(np.unique(shown("cells_Class Colors.png").reshape(-1, 3), axis=0)) == 4
    record = json.loads(Path("objclass_run.json").read_text())
    assert {Path(path).name for path in record["lanes"][0]["outputs"]} >= {
        "cells_Class Colors.png",
        "cells_Class Outlines.png",
    }


def test_classes_in_their_colors_and_their_outlines(here, samples):
    assert cells(samples, "--export_colors", "--output_filename_format", "{nickname}_{result_type}") == 0
    colors, seen = (shown(f"cells_Class {name}.png") for name in ("Colors", "Outlines"))
    classes = stored("cells_Object Predictions.h5")[..., 0]
    palette = {tuple(map(int, colors[classes == k][0])) for k in (1, 2, 3)}
    assert len(palette) == 3
    assert all((colors[classes == k] == colors[classes == k][0]).all() for k in range(4))
    assert (colors[classes == 0] == 0).all()
    painted = (seen != seen[..., :1]).any(axis=-1)
    assert 0 < painted.sum() < (classes > 0).sum() / 2
    assert (classes[painted] > 0).all()
    assert (
        main(
            ["--headless", "--quiet", "--export_colors", "--label_image", f"{samples}/cells_segmentation.tif"]
        )
        == 2
    )


@pytest.mark.parametrize(
    ("channels", "dtype", "colored"), [(3, "u1", True), (4, "u1", True), (2, "u1", False), (3, "u2", False)]
)
def test_outlines_on_raw_data_in_colors(here, samples, channels, dtype, colored):
    """RGB, and RGBA without its alpha, as they are; all else is the first channel in grey."""
    plane = tifffile.imread(samples / "cells_train.tif").astype(np.float64)
    raw = np.stack([plane, plane / 2, 200 - plane / 2, np.full_like(plane, 9)], axis=-1)[
        ..., :channels
    ].astype(dtype)
    np.save("raw.npy", raw)
    images = ["--raw_data", "raw.npy", "--segmentation_image", f"{samples}/cells_train_segmentation.tif",
              "--input_axes", "yxc,yx"]  # fmt: skip
    assert main(["train", "--project", "rgb.ilp", *images, "--labels", f"{samples}/cells_train_labels.csv",
                 "--features", "Standard Object Features:Count", "--trees", "3"]) == 0  # fmt: skip
    assert main(["--headless", "--quiet", "--project", "rgb.ilp", *images, "--export_colors",
                 "--output_filename_format", "{result_type}"]) == 0  # fmt: skip
    colors, seen = (shown(f"Class {name}.png") for name in ("Colors", "Outlines"))
    drawn = (seen == colors).all(axis=-1) & (colors > 0).any(axis=-1)
    assert 100 < drawn.sum() < (colors > 0).any(axis=-1).sum() / 2
    if colored:
        assert np.array_equal(seen[~drawn], raw[..., :3][~drawn])
    else:
        first = raw[..., 0].astype(np.float64)
        grey = ((first - first.min()) / (first.max() - first.min()) * 255).astype(np.uint8)
        assert np.array_equal(seen[~drawn], np.repeat(grey[~drawn][:, None], 3, axis=1))
