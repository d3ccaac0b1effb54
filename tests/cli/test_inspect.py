"""What is in a project: of every workflow, damaged ones too."""

import json
import os

import h5py
import numpy as np
import pytest

from objclass.cli import main


def told(capsys, *arguments):
    assert main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_sample_project(samples, capsys):
    text = told(capsys, samples / "cells.ilp")
    assert "runnable    yes" in text
    assert "1 elongated rgb(230, 25, 75): 12 in lane 0" in text
    assert "neighbourhood of 10 × 10 pixels" in text
    assert "raw_data: cells_train.tif yx 320×320 (found)" in text
    assert "36 objects, predictions as stored" in text
    found = json.loads(told(capsys, samples / "cells.ilp", "--json"))
    assert found["forest"]["trees"] == 100
    assert found["classes"][1]["labels"] == {"0": {"0": 12}}
    assert found["runnable"] is True
    (samples / "cells_train.tif").unlink()
    assert "(not found)" in told(capsys, samples / "cells.ilp")


def test_any_other_file_of_ilastik(tmp_path, capsys):
    with h5py.File(tmp_path / "p.ilp", "w") as file:
        file["workflowName"] = b"Carving"
        file["ilastikVersion"] = b"1.4.0"
    text = told(capsys, tmp_path / "p.ilp")
    assert "Carving (version 1.4.0)" in text
    assert "runnable    no: " in text


def test_a_part_that_is_damaged_hides_no_other(samples, capsys):
    with h5py.File(samples / "cells.ilp", "a") as file:
        tree = file["ObjectClassification/ClassifierForests/Forest0000/Tree_00"]
        del tree["topology"]
        tree["topology"] = np.zeros(3, np.int32)
    text = told(capsys, samples / "cells.ilp")
    assert "forest      cannot be read: its forest is damaged" in text
    assert "1 elongated" in text


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_no_project_at_all(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "p.ilp").write_bytes(content)
    assert main(["inspect", str(tmp_path / "p.ilp")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("objclass: error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_projects_of_the_reference_data(shared, capsys, every):
    found = sorted(shared.glob("golden/**/*.ilp")) + sorted(shared.glob("data/**/*.ilp"))
    assert len(found) > 40
    for path in found[::every]:
        one = json.loads(told(capsys, path, "--json"))
        assert one["workflow"]
        assert not any(isinstance(part, dict) and "fault" in part for part in one.values()), path


def test_names_that_are_no_text(samples, capsys):
    with h5py.File(samples / "cells.ilp", "a") as file:
        file["Input Data/infos/lane0000"][b"\xff\xfe"] = file["Input Data/infos/lane0000/Raw Data"]
    assert json.loads(told(capsys, samples / "cells.ilp", "--json"))["lanes"]
    told(capsys, samples / "cells.ilp")


def test_text_that_would_steer_a_terminal(ilastik_samples, capsys):
    """As names of classes, in the list, as JSON, and in messages."""
    name = "\x1b]0;owned\x07\x9b31m\u202eli\nobjclass: error: µ"
    path = ilastik_samples / "cells.ilp"
    with h5py.File(path, "a") as file:
        del file["ObjectClassification/LabelNames"]
        file["ObjectClassification/LabelNames"] = np.array([name.encode(), b"b"], object)
    text = told(capsys, path)
    assert "\\u001b]0;owned\\u0007\\u009b31m\\u202eli\\u000aobjclass: error: µ" in text
    plain = told(capsys, path, "--json")
    assert json.loads(plain)["classes"][0]["name"] == name
    for letter in "\x1b\x07\x9b\u202e":
        assert letter not in text
        assert letter not in plain
    assert (
        main(["--headless", "--project", str(path), "--raw_data", f"a{name}.h5", "--segmentation_image", "s"])
        == 2
    )
    refusal = capsys.readouterr().err
    assert "\x1b" not in refusal
    assert refusal.count("\n") == 1


def test_long_lists_are_summed_up(samples, capsys):
    with h5py.File(samples / "cells.ilp", "a") as file:
        infos, labels = file["Input Data/infos"], file["ObjectClassification/LabelInputs"]
        for k in range(1, 14):
            infos.copy("lane0000", f"lane{k:04d}")
            labels.copy("0000", f"{k:04d}")
        raw = infos["lane0000/Raw Data"]
        del raw["filePath"]
        raw["filePath"] = os.pathsep.join(f"plane_{k:03d}.tif" for k in range(103)).encode()
    text = told(capsys, samples / "cells.ilp")
    assert "168 in 14 lanes" in text
    assert "plane_000.tif and 102 more files" in text
    assert "and 8 more lanes, 0 of their 16 images are not found (--verbose lists them)" in text
    assert max(map(len, text.splitlines())) < 300
    whole = told(capsys, samples / "cells.ilp", "--verbose")
    assert "plane_102.tif" in whole
    assert "13 raw_data" in whole
    assert "12 in lane 13" in whole
    assert "more" not in whole


def test_strokes_of_a_pixel_project(tmp_path, capsys):
    with h5py.File(tmp_path / "p.ilp", "w") as file:
        file["workflowName"], file["ilastikVersion"] = b"Pixel Classification", b"1.4.0"
        names = file.create_dataset("PixelClassification/LabelNames", data=[b"in", b"out"])
        names.attrs["isEmpty"] = False
        file["PixelClassification/LabelSets/labels000/block0000"] = np.array(
            [[[0], [1], [2]], [[2], [2], [0]]], "u1"
        )
    text = told(capsys, tmp_path / "p.ilp")
    assert "1 in: 1 painted pixels in lane 0" in text
    assert "2 out: 3 painted pixels in lane 0" in text


@pytest.mark.parametrize(
    ("lost", "runnable", "why"),
    [
        ((), True, "trained again"),
        (("cells_train.tif",), False, "cells_train.tif"),
        (("labels",), False, "no labels"),
    ],
)
def test_runnable_is_what_a_run_would_say(ilastik_samples, capsys, lost, runnable, why):
    with h5py.File(ilastik_samples / "cells.ilp", "a") as file:
        del file["ObjectClassification/ClassifierForests"]
        if "labels" in lost:
            file["ObjectClassification/LabelInputs/0000/0"][...] = 0
    for name in set(lost) - {"labels"}:
        (ilastik_samples / name).unlink()
    found = json.loads(told(capsys, ilastik_samples / "cells.ilp", "--json"))
    assert found["runnable"] is runnable
    assert why in found["why_not"]
    code = main(["--headless", "--quiet", "--project", str(ilastik_samples / "cells.ilp"), "--raw_data", str(ilastik_samples / "cells.tif"),
                 "--segmentation_image", str(ilastik_samples / "cells_segmentation.tif"), "--table_only",
                 "--table_filename", str(ilastik_samples / "t.csv")])  # fmt: skip
    assert (code == 0) is runnable


def test_a_stale_forest_is_not_runnable(samples, capsys):
    with h5py.File(samples / "cells.ilp", "a") as file:
        selected = file["ObjectClassification/SelectedFeatures/Standard Object Features"]
        del selected["Kurtosis"]
    found = json.loads(told(capsys, samples / "cells.ilp", "--json"))
    assert found["runnable"] is False
    assert "feature columns" in found["why_not"]
