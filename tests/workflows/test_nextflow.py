"""The Nextflow module. Its commands are run by bash, filled in as Nextflow does; Nextflow itself is not run."""

import os
import re
import subprocess
import sys

import pytest
import yaml

from objclass.version import __version__
from tests.workflows.conftest import WORKFLOWS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Nextflow needs bash")

MODULE = WORKFLOWS / "nextflow/objclass/classify"


@pytest.fixture(scope="module")
def process():
    return (MODULE / "main.nf").read_text("utf-8")


def script(process, section, values):
    """The shell script of a section, with a value for each expression, by the rules of strings in Groovy."""
    text = re.search(rf'\n    {section}:.*?"""\n(.*?)"""', process, re.DOTALL)[1]
    return re.sub(r"\\(.)|\$\{(.*?)\}", lambda found: found[1] or values[found[2]], text, flags=re.DOTALL)


def outputs(process):
    """Name -> pattern of its files, and whether there must be some."""
    section = re.search(r"\n    output:\n(.*?)\n\n", process, re.DOTALL)[1]
    found = re.findall(r'path\("(.*?)"\), emit: (\w+)(, optional: true)?', section)
    return {name: (pattern, not optional) for pattern, name, optional in found}


def start_task(process, section, folder, environment, **values):
    """Start bash on the script, as Nextflow does it."""
    (folder / "task.sh").write_text(script(process, section, values), "utf-8")
    command = ["bash", "-euo", "pipefail", "task.sh"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def finish(task):
    _, said = task.communicate()
    assert task.returncode == 0, said


def emitted(process, folder, prefix):
    """The files of each output."""
    found = {}
    for name, (pattern, is_required) in outputs(process).items():
        found[name] = list(folder.glob(pattern.replace("${prefix}", prefix)))
        assert found[name] or not is_required, name
    return found


@pytest.mark.slow
def test_tasks_of_some_images_each_equal_one_run(process, lanes, environment, plain):
    """With their tables joined as collectFile does: the first with its header, the others without."""
    tasks = {}
    for names in ("ab", "c"):
        folder = lanes / "work" / names
        (folder / "objects").mkdir(parents=True)
        for name in names:
            os.link(lanes / f"images/{name}_raw.tif", folder / f"{name}_raw.tif")
            os.link(lanes / f"images/{name}_segmentation.tif", folder / f"objects/{name}_segmentation.tif")
        os.link(lanes / "cells.ilp", folder / "cells.ilp")
        values = {
            "prefix": names,
            "project": "cells.ilp",
            "raw": " ".join(f"{name}_raw.tif" for name in names),
            "objects": " ".join(f"objects/{name}_segmentation.tif" for name in names),
            "role": "segmentation_image",
            "task.cpus": "1",
            "memory": "--max_memory 800MB",
            "args": "--output_format 'compressed tiff'",
        }
        tasks[names] = start_task(process, "script", folder, environment, **values)
    table, images = b"", {}
    for names, task in tasks.items():
        finish(task)
        found = emitted(process, lanes / "work" / names, names)
        images |= {path.name: path.read_bytes() for path in found["predictions"]}
        content = found["table"][0].read_bytes()
        table += content[content.index(b"\n") + 1 :] if table else content
    assert table == (plain / "objects.csv").read_bytes()
    assert images == {path.name: path.read_bytes() for path in plain.glob("*.tiff")}


def test_the_stub_makes_the_same_outputs(process, tmp_path, environment):
    task = start_task(process, "stub", tmp_path, environment, prefix="a")
    finish(task)
    assert emitted(process, tmp_path, "a")["predictions"]


def test_the_version_is_that_of_the_program(process, environment):
    command = re.search(r'eval\("(.*?)"\)', process)[1]
    printed = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == __version__
    assert f"objclass={__version__}\n" in (MODULE / "environment.yml").read_text("utf-8")


def test_its_description_names_inputs_and_outputs(process):
    """In the order of the module: the nf-core linter compares them, too, but is not among the requirements."""
    described = yaml.safe_load((MODULE / "meta.yml").read_text("utf-8"))
    inputs = re.search(r"\n    input:\n(.*?)\n\n", process, re.DOTALL)[1]
    channels = [c if isinstance(c, list) else [c] for c in described["input"]]
    assert [[name for part in channel for name in part] for channel in channels] == [
        re.findall(r"(?:val|path)[( ](\w+)", line) for line in inputs.splitlines()
    ]
    assert list(described["output"]) == re.findall(r"emit: (\w+)", process)
