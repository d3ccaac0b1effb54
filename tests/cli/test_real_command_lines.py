"""Command lines that programs and people really use with ilastik: each gives the files that its caller reads next.

They come from public repositories; the names of files are ours. Callers whose command line one cannot change set
``OBJCLASS_ILASTIK_NAMES=1``. Of some projects, a table is stored that is written without being asked for, as in
ilastik.
"""

import csv
import shlex
import shutil

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from objclass.cli import main
from tests.conftest import SAMPLES

CROP = np.s_[:128, :160]
"""Part of the sample image: enough for some objects of each class."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder of projects and images, as the command lines name them."""
    folder = tmp_path_factory.mktemp("inputs")
    raw = tifffile.imread(SAMPLES / "cells.tif")
    mask = tifffile.imread(SAMPLES / "cells_segmentation.tif")
    with h5py.File(SAMPLES / "cells_probabilities.h5") as file:
        maps = file["exported_data"][()]
    shutil.copy(SAMPLES / "cells.ilp", folder / "bin.ilp")
    for name, at in (("a", CROP), ("b", np.s_[128:256, :160])):
        tifffile.imwrite(folder / f"{name}.tif", raw[at])
        tifffile.imwrite(folder / f"{name}_binseg.tiff", mask[at])
        for path, key, pixels in (
            (f"{name}.h5", "data", raw[at]),
            (f"{name}_Probabilities.h5", "exported_data", maps[at]),
            (f"{name}_named.h5", "probabilities", maps[at]),
            (f"{name}_5d.h5", "data", raw[at][None, None, ..., None]),
            (f"{name}_prob5d.h5", "exported_data", maps[at][None, None]),
            (f"{name}_seg5d.h5", "exported_data", mask[at][None, None, ..., None]),
        ):
            with h5py.File(folder / path, "w") as file:
                file[key] = pixels
    (folder / "reg").mkdir()
    for channel in "12":
        tifffile.imwrite(folder / f"reg/o{channel}.tiff", raw[CROP])
    for store, pixels in (("img.zarr", raw[CROP]), ("seg.zarr", mask[CROP])):
        zarr.create_group(folder / store, zarr_format=2).create_array("0", data=pixels)
    train(folder / "pred.ilp", SAMPLES / "cells_train.tif", "prediction_maps", "probabilities.h5")
    paint(folder)
    two = np.stack([tifffile.imread(SAMPLES / "cells_train.tif")] * 2)
    tifffile.imwrite(folder / "two.tif", two, metadata={"axes": "CYX"})
    train(folder / "bin2c.ilp", folder / "two.tif", "segmentation_image", "segmentation.tif")
    (folder / "two.tif").unlink()
    return folder


def train(project, raw, role, objects):
    features = ("Standard Object Features:Count", "Standard Object Features:Mean")
    samples = f"{SAMPLES}/cells_train_"
    options = ["--raw_data", str(raw), f"--{role}", samples + objects, "--labels", f"{samples}labels.csv"]
    assert (
        main(
            ["train", "--quiet", "--project", str(project), *options, "--features", *features, "--trees", "5"]
        )
        == 0
    )


def paint(folder):
    """A pixel project, learned from stripes across the sample, and one of pixels and objects."""
    mask = tifffile.imread(SAMPLES / "cells_train_segmentation.tif")
    strokes = np.zeros(mask.shape, np.uint8)
    strokes[::16] = np.where(mask[::16] > 0, 1, 2)
    tifffile.imwrite(folder / "strokes.tif", strokes)
    raw = ["--raw_data", str(SAMPLES / "cells_train.tif"), "--labels", str(folder / "strokes.tif")]
    features = ["--pixel_features", "gaussian:0.7,1.6", "gradient:1.0"]
    arguments = [
        "train",
        "--pixels",
        "--quiet",
        "--project",
        str(folder / "pixel.ilp"),
        *raw,
        *features,
        "--trees",
        "5",
    ]
    assert main(arguments) == 0
    (folder / "strokes.tif").unlink()
    shutil.copy(folder / "pred.ilp", folder / "po.ilp")
    with h5py.File(folder / "po.ilp", "r+") as file, h5py.File(folder / "pixel.ilp") as pixels:
        file["workflowName"][()] = b"Object Classification (from pixel classification)"
        for group in ("FeatureSelections", "PixelClassification"):
            pixels.copy(group, file)


@pytest.fixture
def here(inputs, tmp_path, monkeypatch):
    """A working folder with the inputs, where files are called as ilastik calls them."""
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBJCLASS_ILASTIK_NAMES", "1")
    return tmp_path


def files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("objclass_run")
    }


PRED = "--headless --project=pred.ilp"
BIN = "--headless --project=bin.ilp"
MAPS = "--raw_data a.tif --prediction_maps a_Probabilities.h5"
MASK = "--raw_data=a.tif --segmentation_image=a_binseg.tiff"

WORKING = {
    "Hello World": (
        (
            "--headless --project=po.ilp --table_filename=o/x.csv '--export_source=Object Predictions' "
            "--raw_data a.tif b.tif"
        ),
        {"a_Object Predictions.h5", "b_Object Predictions.h5", "o/x_table.csv"},
    ),
    "snakemake nucleoli": (
        (
            "--headless --project=po.ilp '--output_format=multipage tiff' '--export_source=Object Predictions' "
            "--export_dtype=uint8 --output_filename_format=o/{nickname}.tiff a.tif b.tif"
        ),
        {"o/a.tiff", "o/b.tiff"},
    ),
    "nf-core": (
        (
            "--headless --readonly 1 --project=pixel.ilp --output_filename_format=o/p.tiff "
            "--export_source=Probabilities a.tif"
        ),
        {"o/p.h5"},
    ),
    "pytcherplants": (
        (
            "--headless --project=pixel.ilp --output_format=tiff "
            "--output_filename_format=o/{nickname}_segmented.tiff '--export_source=Simple Segmentation' a.tif"
        ),
        {"o/a_segmented.tiff"},
    ),
    "NucleiTracking": (
        "--headless --project=pixel.ilp --stack_along=t --output_filename_format=o/{nickname}_probabilities.h5 a.tif",
        {"o/a_probabilities.h5"},
    ),
    "merquaco": (
        (
            f"{PRED} --export_source 'Object Predictions' --prediction_maps a_Probabilities.h5 --raw_data a.tif "
            "--output_format=tiff --output_filename_format o/mask.tiff"
        ),
        {"o/mask.tiff"},
    ),
    "chaytanc": (
        (
            f"{PRED} --output_filename_format=o/{{nickname}}_obj.tif --output_format=tif "
            "--table_filename=o/{nickname}.csv --prediction_maps a_Probabilities.h5 b_Probabilities.h5 "
            "--raw_data a.tif b.tif"
        ),
        {"o/a_obj.tif", "o/b_obj.tif", "o/a_table.csv", "o/b_table.csv"},
    ),
    "fish-quant": (
        (
            f"{BIN} '--export_source=Object Probabilities' '--output_format=multipage tiff' "
            "--output_filename_format=o/{nickname}_{result_type}.tiff --raw_data=a.tif "
            "--segmentation_image=a_binseg.tiff --export_dtype=float32 --readonly=true"
        ),
        {"o/a_Object Probabilities.tiff"},
    ),
    "stabia": (
        (
            "--project pred.ilp --headless --readonly --export_source 'Object Identities' --output_filename_format "
            "o/hole_ids.h5 --raw_data a.h5 --prediction_maps a_Probabilities.h5"
        ),
        {"o/hole_ids.h5"},
    ),
    "Sanger": (
        (
            f"{BIN} --readonly=yes --table_filename=./o/stem_object_features.csv "
            "'--export_source=Blockwise Object Predictions' --output_format=tif "
            f"--output_filename_format=./o/stem_{{result_type}}.tif {MASK}"
        ),
        {"o/stem_Object Predictions.tif", "o/stem_object_features_table.csv"},
    ),
    "Sanger, older": (
        (
            f"{BIN} --readonly --table_filename=./o/stem_object_features.csv "
            f"'--export_source=Blockwise Object Predictions' --output_format=tif {MASK}"
        ),
        {"a_Object Predictions.tif", "o/stem_object_features_table.csv"},
    ),
    "cyclicIF": (
        (
            "--headless --project=bin2c.ilp --table_filename=o/wellexportedObjectFeatures.csv "
            "'--export_source=Object Predictions' --stack_along=c reg/o*.tiff --segmentation_image a_binseg.tiff"
        ),
        {"reg/o_Object Predictions.h5", "o/wellexportedObjectFeatures_table.csv"},
    ),
    "UCSF": (
        (
            f"{PRED} --output_format=hdf5 --output_filename_format=o/{{nickname}}_Object_Prediction.h5 "
            "--table_filename=o/object_feature_output-{nickname}.csv '--export_source=object predictions' --readonly "
            "--raw_data a.h5 b.h5 --prediction_maps a_Probabilities.h5 b_Probabilities.h5"
        ),
        {
            *("o/a_Object_Prediction.h5", "o/b_Object_Prediction.h5"),
            *("o/object_feature_output-a_table.csv", "o/object_feature_output-b_table.csv"),
        },
    ),
    "cryo-EM": (
        (
            f"{PRED} --output_filename_format=o/{{nickname}}_{{result_type}}.h5 "
            "--table_filename=o/exported_data-{nickname}.csv '--export_source=Object Predictions' "
            "--raw_data a.tif b.tif --prediction_maps a_Probabilities.h5 b_Probabilities.h5"
        ),
        {
            *("o/a_Object Predictions.h5", "o/b_Object Predictions.h5"),
            *("o/exported_data-a_table.csv", "o/exported_data-b_table.csv"),
        },
    ),
    "SpotApp": (
        (
            f"{PRED} --table_filename=o/{{nickname}}.csv --output_format=hdf5 "
            "--output_filename_format=o/{nickname}_{result_type}.h5 '--export_source=Object Predictions' "
            "--input_axes=tzyxc --raw_data a_5d.h5 b_5d.h5 --prediction_maps a_prob5d.h5 b_prob5d.h5"
        ),
        {
            *("o/a_5d_Object Predictions.h5", "o/b_5d_Object Predictions.h5"),
            *("o/a_5d_table.csv", "o/b_5d_table.csv"),
        },
    ),
    "improc, older": (
        (
            f"{PRED} --output_format hdf5 --output_filename_format o/{{nickname}}.h5 "
            "--export_source 'object probabilities' --raw_data a.h5 --prediction_maps a_Probabilities.h5"
        ),
        {"o/a.h5"},
    ),
    "Sainsbury Wellcome": (
        (
            f"{PRED} --table_filename=o/a_Table.csv --output_format=hdf5 '--export_source=Object Predictions' "
            "--raw_data=a.tif --prediction_maps=a_Probabilities.h5 --output_filename_format=o/a_Probabilities.h5"
        ),
        {"o/a_Probabilities.h5", "o/a_Table_table.csv"},
    ),
    "Janelia": (
        (
            f"{BIN} '--export_source=Object Predictions' {MASK} '--output_format=multipage tiff' "
            "--output_filename_format=o/Test.tiff --table_filename=o/Test_obj_features.csv "
            "'--pipeline_result_drange=(0,2)' '--export_drange=(0,255)' --export_dtype=uint16 --output_axis_order=tzxy"
        ),
        {"o/Test.tiff", "o/Test_obj_features_table.csv"},
    ),
    "BEHAV3D": (
        (
            f"{PRED} --output_format=hdf5 --output_internal_path /pre_objects "
            "--output_filename_format=o/x_preobjects.h5 --table_filename=o/x_preobject_features.h5 --raw_data a.h5 "
            "--prediction_maps a_named.h5/probabilities '--export_source=object identities'"
        ),
        {"o/x_preobjects.h5", "o/x_preobject_features.h5"},
    ),
    "Svoboda": (
        (
            f"{PRED} --readonly=1 --raw_data=a.tif --prediction_maps=a_Probabilities.h5/exported_data "
            "'--export_source=object predictions' --output_format=tif"
        ),
        {"a_Object Predictions.tif"},
    ),
    "potato blight": (
        f"{PRED} '--export_source=Object Identities' --raw_data=a.tif --prediction_maps=a_Probabilities.h5",
        {"a_Object Identities.h5"},
    ),
    "ASCT": (
        (
            "--headless --project pred.ilp --raw_data a.tif --prediction_maps a_Probabilities.h5 --table_filename "
            "o/POCbSd-x.csv --export_source 'Object Identities'"
        ),
        {"a_Object Identities.h5", "o/POCbSd-x_table.csv"},
    ),
    "harpy": (
        (
            "--headless --readonly --project=bin.ilp '--export_source=Object Predictions' "
            "--raw_data=file://{here}/img.zarr/0 --segmentation_image=file://{here}/seg.zarr/0 "
            "--output_filename_format=o/pred.h5 --logfile=o/ilastik.log"
        ),
        {"o/pred.h5", "o/ilastik.log"},
    ),
    "harpy, plain paths": (
        (
            "--headless --readonly --project=bin.ilp '--export_source=Object Predictions' "
            "--raw_data={here}/img.zarr/0 --segmentation_image={here}/seg.zarr/0 "
            "--output_filename_format=o/pred.h5 --logfile=o/ilastik.log"
        ),
        {"o/pred.h5", "o/ilastik.log"},
    ),
    "nuc_class": (
        f"{BIN} '--export_source=Object Predictions' --output_format=numpy {MASK}",
        {"a_Object Predictions.npy"},
    ),
    "launcher": (f"{PRED} '--export_source=Object Probabilities' {MAPS}", {"a_Object Probabilities.h5"}),
    "analyze_image": (
        (
            f"{PRED} --raw_data=a.h5/data --prediction_maps=a_Probabilities.h5/exported_data "
            "'--export_source=object identities' --output_format=tiff --output_filename_format=o/mask.tiff"
        ),
        {"o/mask.tiff"},
    ),
    "class wrapper": (
        (
            f"{PRED} '--export_source=Object Probabilities' --table_filename=o/{{nickname}}.csv "
            "--prediction_maps a_Probabilities.h5 --raw_data a.tif"
        ),
        {"a_Object Probabilities.h5", "o/a_table.csv"},
    ),
    "nuclei volumes": (
        (
            f"{PRED} '--output_format=compressed hdf5' --output_filename_format=o/{{nickname}} "
            "'--export_source=Object Predictions' --raw_data a.h5 b.h5 "
            "--prediction_maps a_Probabilities.h5 b_Probabilities.h5"
        ),
        {"o/a.h5", "o/b.h5"},
    ),
    "ilastik4ij": (
        (
            f"{PRED} --output_filename_format=o/out.h5 --output_format=hdf5 --output_axis_order=tzyxc "
            "--input_axes=tzyxc --readonly=1 --raw_data=a_5d.h5/data --prediction_maps=a_prob5d.h5 "
            "'--export_source=Object Predictions' --table_filename=o/features.csv"
        ),
        {"o/out.h5", "o/features_table.csv"},
    ),
    "ilastik4ij, segmentation": (
        (
            f"{BIN} --output_filename_format=o/out.h5 --output_format=hdf5 --output_axis_order=tzyxc "
            "--input_axes=tzyxc --readonly=1 --raw_data=a_5d.h5/data --segmentation_image=a_seg5d.h5 "
            "'--export_source=Object Identities' --table_filename=o/features.csv"
        ),
        {"o/out.h5", "o/features_table.csv"},
    ),
    "JIPipe": (
        (
            "--headless --readonly --project=bin.ilp '--export_source=Object Predictions' "
            "--output_filename_format=o/res.tiff '--output_format=multipage tiff' --output_axis_order=yx "
            f"--input_axes=yx --table_filename=o/features__{{nickname}}.csv {MASK}"
        ),
        {"o/res.tiff", "o/features__a_table.csv"},
    ),
    "CellProfiler": (
        (
            "--headless --project bin.ilp --raw_data a_5d.h5 --segmentation_image a_seg5d.h5 --input_axes tzyxc "
            "--export_source 'Object Predictions' --export_dtype float32 --table_filename o/t.h5"
        ),
        {"a_5d_Object Predictions.h5", "o/t.h5"},
    ),
    "cwl": (
        (
            "--headless --output_filename_format=o/predictions.n5 --output_format=n5 --project=bin.ilp "
            "--raw-data=a.tif --segmentation-image=a_binseg.tiff"
        ),
        {"o/predictions"},
    ),
    "hyphens": (
        f"{PRED} --raw-data a.tif --prediction-maps a_Probabilities.h5 --input-axes yx,yxc",
        {"a_Object Predictions.h5"},
    ),
    "both flags": (
        (
            f"{BIN} --table_filename=o/exported_object_features.csv --export_object_prediction_img "
            f"--export_object_probability_img {MASK}"
        ),
        {"a_Object Predictions.h5", "a_Object Probabilities.h5", "o/exported_object_features_table.csv"},
    ),
    "issue 1590": (
        (
            f"{PRED} --export_object_probability_img --output_format=tif "
            f"--output_filename_format=o/{{nickname}}_out.tif {MAPS}"
        ),
        {"o/a_out.tif"},
    ),
    "one class": (
        (
            f"{PRED} '--export_source=Object Probabilities' '--cutout_subregion=[(None,None,0),(None,None,1)]' "
            f"--output_filename_format=o/x.h5 {MAPS}"
        ),
        {"o/x.h5"},
    ),
    "percent signs, three at once": (
        (
            f"{PRED} --output_filename_format=o/{{nickname}}_obj.tif --output_format=tif "
            "--table_filename=o/{nickname}.csv --prediction_maps 1%_a_seg.h5 1%_b_seg.h5 --raw_data 1%_a.tif 1%_b.tif"
        ),
        {"o/1%_a_obj.tif", "o/1%_b_obj.tif", "o/1%_a_table.csv", "o/1%_b_table.csv"},
    ),
    "abbreviated": (f"{PRED} --output_filename=o/x.h5 --readonly 1 {MAPS}", {"o/x.h5"}),
}

REFUSED = {
    "heiserlab": (
        (
            "--headless --readonly=True --project=pixel.ilp --raw_data=a.tif --prediction_maps=a_Probabilities.h5 "
            "--export_source=Plugin --export_plugin=CSV-Table"
        ),
        "--export_plugin",
        "Tracking",
    ),
    "SpotApp, 2D": (
        f"{PRED} --table_filename=o/{{nickname}}.csv --output_format=hdf5 --input_axes=tzyxc {MAPS}",
        "tzyxc",
    ),
    "improc": (
        (
            f"{PRED} --output_format=hdf5 --output_filename_format=o/{{nickname}}.h5 "
            "'--output_source=\"Object Probabilities\"' --raw_data a.h5 --prediction_maps a_Probabilities.h5"
        ),
        "--output_source",
        "--export_source?",
    ),
    "potato blight, older": (
        f"--headless --output_format=hdf5 --project=pred.ilp --export_source=Probabilities {MAPS}",
        "Probabilities: expected Object Predictions",
    ),
    "mousebrainmicro": (
        (
            "--headless '--cutout_subregion=[(None,None,None,0),(None,None,None,1)]' --logfile=o/l.txt "
            f"--project=pred.ilp --output_filename_format=o/x --output_format=hdf5 {MAPS}"
        ),
        "subregion of 4 axes",
    ),
    "old ilastik4ij": (f"{BIN} --raw_data=a.tif --binary_image=a_binseg.tiff", "--binary_image", "Tracking"),
    "neural network": (f"{BIN} {MASK} --tiktorch_executable /opt/tiktorch", "Neural Network Classification"),
    "prediction mask": (f"{BIN} {MASK} --prediction_mask a_binseg.tiff", "Pixel Classification"),
    "export plugin": (
        f"{PRED} {MAPS} --export_source=Plugin --export_plugin=CSV-Table",
        "--export_plugin",
        "Tracking",
    ),
}


def words(line, here):
    return shlex.split(line.replace("{here}", str(here)))


@pytest.mark.parametrize("name", WORKING)
def test_what_works_in_ilastik_works(here, name):
    line, expected = WORKING[name]
    for letter in "ab":
        if "1%" in line:
            shutil.copy(f"{letter}.tif", f"1%_{letter}.tif")
            shutil.copy(f"{letter}_Probabilities.h5", f"1%_{letter}_seg.h5")
    before = files(here)
    assert main(words(line, here)) == 0
    made = files(here) - before
    if "--table_filename" not in line:
        made = {name for name in made if not name.endswith("_table.csv")}  # as set up in the project
    assert {name.partition(".n5/")[0] for name in made} == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_by_its_name(here, name, capsys):
    line, *parts = REFUSED[name]
    before = files(here) | {"o/l.txt"}
    assert main(words(line, here)) == 2
    (error,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("objclass: error")]
    assert all(part in error for part in parts), error
    assert files(here) <= before


def test_the_files_that_ilastik4ij_reads(here):
    """It opens dataset exported_data, of axes t, z, y, x, c, and the table in x_table.csv."""
    line, _ = WORKING["ilastik4ij"]
    assert main(shlex.split(line)) == 0
    with h5py.File("o/out.h5") as file:
        classes = file["exported_data"]
        assert classes.shape == (1, 1, 128, 160, 1)
        assert classes.dtype == np.uint8
        found = np.unique(classes[()])
    with open("o/features_table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 3
    assert set(found) - {0} == {int(np.argmax(p)) + 1 for p in probabilities(rows)}


def probabilities(rows):
    names = [name for name in rows[0] if name.startswith("Probability of ")]
    return [[float(row[name]) for name in names] for row in rows]


def test_the_option_does_what_the_variable_does(here, monkeypatch):
    monkeypatch.delenv("OBJCLASS_ILASTIK_NAMES")
    shutil.copy("a.tif", "cell.001.tif")
    line = f"{BIN} --raw_data cell.001.tif --segmentation_image a_binseg.tiff --table_filename o/{{nickname}}.csv"
    before = files(here)
    assert main(shlex.split(line)) == 0
    assert files(here) - before == {"cell.001_Object Predictions.h5", "o/cell.001.csv"}
    assert main([*shlex.split(line), "--ilastik_names"]) == 0
    assert files(here) - before == {
        *("cell.001_Object Predictions.h5", "o/cell.001.csv"),
        *("cell.h5", "o/cell.001_table.csv"),
    }
