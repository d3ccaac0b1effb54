"""Results of a session: written by the run that its command line starts."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass import cli
from objclass.cli.headless import HeadlessOptions, _request
from objclass.core import from_canonical
from objclass.errors import ImageError, LaneError, UsageError
from objclass.images import dataset_name
from objclass.images.attributes import axistags
from objclass.session import Session
from objclass.session.command import command_of
from objclass.session.export import Outputs
from tests.session.test_projects import labelled, squares, written

IMAGES = ("Object Predictions", "Object Probabilities", "Object Identities")


def test_lengths_of_images_without_a_pixel_size_are_not_known(tmp_path):
    session = labelled(written(tmp_path))
    session.save(tmp_path / "p.ilp")
    outputs = Outputs(table=str(tmp_path / "t.csv"), columns="tidy", is_physical=True)
    with pytest.raises(UsageError, match=r"^raw-data: its file has no pixel size"):
        session.export(outputs)
    session.export(replace(outputs, columns="ilastik"))


def contents(folder):
    """Name of a file -> its bytes, without run files."""
    return {
        path.name: path.read_bytes()
        for path in sorted(Path(folder).iterdir())
        if not path.name.startswith(("objclass_run", "."))
    }


def parsed(text):
    """The request that the command line makes of a text."""
    arguments = shlex.split(text)[1:]
    options = cli.Parser(HeadlessOptions, "objclass", "").parse_args(arguments)
    return _request(options, arguments)


def check(session, folder, **further):
    """Whether a saved project gives the same classes without a window, and the same bytes as by `export`."""
    folder.mkdir()
    outputs = Outputs(
        images=IMAGES,
        image_path=str(folder / "{nickname}_{result_type}.h5"),
        table=str(folder / "all.csv"),
        **further,
    )
    session.export(outputs)
    exported, run = contents(folder), json.loads((folder / "objclass_run.json").read_text())
    shutil.rmtree(folder)
    folder.mkdir()
    text = session.command(outputs)
    assert replace(parsed(text), resources=session.resources) == session._request(outputs)
    assert cli.main(shlex.split(text)[1:]) == 0
    assert contents(folder) == exported
    assert json.loads((folder / "objclass_run.json").read_text())["arguments"] == run["arguments"]
    for image in session.state.images:
        compare(session, image, folder)
    return exported


def compare(session, image, folder):
    """Whether result images have the classes and probabilities of the session."""
    numbers = from_canonical(session.state.found[image.key].numbers[..., None], image.axes)
    predictions = session.predictions(image.key)
    none = np.zeros((1, len(session.classes)), np.float32)
    wanted = {
        "Object Predictions": np.append(0, predictions.classes)[numbers],
        "Object Probabilities": np.concatenate([none, predictions.probabilities])[numbers],
    }
    place = session.state.images.index(image)
    raw = session._request(Outputs(table="x.csv")).inputs.paths["raw_data"][place]
    for name, values in wanted.items():
        with h5py.File(folder / f"{dataset_name(raw)[0]}_{name}.h5") as file:
            assert (file["exported_data"][()].reshape(values.shape) == values).all()


def test_files_and_arrays(tmp_path):
    session = labelled(written(tmp_path), squares(seed=1))
    session.save(tmp_path / "my project.ilp")
    exported = check(session, tmp_path / "results", summary=str(tmp_path / "results" / "summary.csv"))
    assert len(exported) == 8
    again = Session.open(session.path, session.resources)
    raw, labels = squares(seed=2)
    again.add_image(raw, label_image=labels)
    again.update()
    again.save()
    check(again, tmp_path / "more")


def test_commands_for_shells(tmp_path):
    session = labelled(written(tmp_path))
    session.save(tmp_path / "my project.ilp")
    request = session._request(Outputs(table=str(tmp_path / "{nickname}.csv"), report="r.html"))
    assert "'" in session.command(Outputs(table=str(tmp_path / "{nickname}.csv")))
    words = command_of(request, is_windows=True)
    assert f'--project "{tmp_path / "my project.ilp"}"' in words
    assert f'--table_filename "{tmp_path / "{nickname}.csv"}"' in words
    assert f"--raw_data {tmp_path / 'raw.h5/data'}" in words


def test_only_what_is_saved_is_exported(tmp_path):
    session = labelled(squares())
    for method in (session.export, session.command):
        with pytest.raises(UsageError, match="save it first"):
            method(Outputs(table="x.csv"))
    with pytest.raises(UsageError, match="table of the objects"):
        Outputs("")


def test_a_run_that_fails_says_why(tmp_path):
    session = labelled(written(tmp_path))
    session.save(tmp_path / "p.ilp")
    with h5py.File(tmp_path / "raw.h5", "r+") as file:
        del file["data"]
        file.create_dataset("data", (60, 80), "u1", chunks=(60, 80), compression="gzip")
        file["data"][:] = 7
        place = file["data"].id.get_chunk_info(0)
    with open(tmp_path / "raw.h5", "r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"x" * place.size)
    with pytest.raises(LaneError, match="raw.*"):
        session.export(Outputs(table=str(tmp_path / "x.csv")))
    assert not (tmp_path / "x.csv").exists()


def test_axes_that_were_given_are_those_of_the_run(tmp_path):
    raw, labels = squares((3, 40, 60))
    paths = [str(tmp_path / f"{name}.npy") for name in ("raw", "labels")]
    for path, array in zip(paths, (raw, labels), strict=True):
        np.save(path, array)
    session = labelled(paths, axes={"raw_axes": "tyx", "axes": "tyx"})
    session.save(tmp_path / "p.ilp")
    check(session, tmp_path / "results")


def test_files_of_different_axes_are_run_as_they_say(tmp_path):
    given = []
    for k, axes in enumerate(("zyx", "xyz")):
        given.append([str(tmp_path / f"{name}{k}.h5/data") for name in ("raw", "labels")])
        for path, array in zip(given[-1], squares((3, 40, 60)), strict=True):
            with h5py.File(path.removesuffix("/data"), "w") as file:
                file["data"] = array if axes == "zyx" else array.T
                file["data"].attrs["axistags"] = axistags(axes)
    session = labelled(*given)
    session.save(tmp_path / "p.ilp")
    assert "--ignore_training_axistags" in session.command(Outputs(table="x.csv"))
    check(session, tmp_path / "results")


def test_arrays_of_different_axes_are_not_run_together(tmp_path):
    raw, labels = squares((3, 40, 60))
    session = labelled((raw, labels))
    paths = [str(tmp_path / f"{name}.npy") for name in ("raw", "labels")]
    for path, array in zip(paths, (raw.T, labels.T), strict=True):
        np.save(path, array)
    session.add_image(paths[0], label_image=paths[1], raw_axes="xyz", axes="xyz")
    session.save(tmp_path / "p.ilp")
    with pytest.raises(UsageError, match="same order of axes"):
        session.command(Outputs(table="x.csv"))


def test_an_image_that_is_gone_is_named(tmp_path):
    session = labelled(written(tmp_path))
    session.save(tmp_path / "p.ilp")
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(ImageError, match=r"no such file: .*raw\.h5"):
        session.command(Outputs(table="x.csv"))
