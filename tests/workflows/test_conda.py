"""The conda recipe: it says what pyproject.toml says, in conda-forge's names."""

import re
import shlex
import shutil
import tomllib

import pytest
import yaml

from objclass.cli import main
from objclass.version import __version__
from tests.conftest import ROOT, SAMPLES
from tests.workflows.conftest import WORKFLOWS
from tests.workflows.test_container import NOT_FOR_USERS

FILE = WORKFLOWS / "conda/recipe.yaml"

NAMES = {"matplotlib": "matplotlib-base", "openexr": "openexr-python", "pyside6-essentials": "pyside6"}
"""Names of conda-forge that are not those of Python, in lower case."""

ABSENT = {"bio"}
"""Extras whose packages were not all found on conda-forge."""


@pytest.fixture(scope="module")
def recipe():
    return yaml.safe_load(FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def translated(requirements):
    """Requirements of Python in the words of conda; conditions on the version of Python are left out."""
    found = (re.fullmatch(r"([\w.-]+)(>=[^;]+)(;.*)?", requirement) for requirement in requirements)
    return {f"{NAMES.get(match[1].lower(), match[1].lower())} {match[2]}" for match in found}


def test_requirements_are_those_of_the_package(recipe, project):
    extras = project["project"]["optional-dependencies"]
    given = recipe["requirements"]
    python, *run = given["run"]
    assert python == "python >=${{ python_min }}"
    assert f">={recipe['context']['python_min']}" == project["project"]["requires-python"]
    assert set(run) == translated(project["project"]["dependencies"] + extras["report"])
    others = set(extras) - NOT_FOR_USERS - ABSENT - {"report"}
    optional = set().union(*(translated(extras[name]) for name in others))
    assert set(given["run_constraints"]) == optional - set(run)
    assert set(given["host"]) - {"pip"} == {
        "python ${{ python_min }}.*",
        *project["build-system"]["requires"],
    }


def test_the_package_is_the_same(recipe, project):
    assert recipe["context"]["version"] == __version__
    assert recipe["package"]["name"] == project["project"]["name"]
    scripts = {f"{name} = {target}" for name, target in project["project"]["scripts"].items()}
    assert set(recipe["build"]["python"]["entry_points"]) == scripts
    assert recipe["about"]["license"] == project["project"]["license"]
    assert recipe["about"]["license_file"] == project["project"]["license-files"]
    assert (FILE.parent / recipe["source"]["path"] / "pyproject.toml").resolve() == ROOT / "pyproject.toml"


@pytest.mark.slow
def test_its_tests_pass(recipe, tmp_path, monkeypatch, capsys):
    _, commands = recipe["tests"]
    for name in commands["files"]["source"]:
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for line in commands["script"]:
        program, *arguments = shlex.split(line)
        assert program in recipe["build"]["python"]["entry_points"][0].split()
        assert main(arguments) == 0
    assert __version__ in capsys.readouterr().out
    assert (tmp_path / "cells.csv").read_bytes() == (SAMPLES / "cells_expected.csv").read_bytes()


def test_rattler_build_renders_it():
    build = pytest.importorskip(
        "rattler_build", reason="py-rattler-build is not installed: pip install -e '.[workflows]'"
    )
    (rendered,) = build.Stage0Recipe.from_file(FILE).render()
    assert rendered.recipe.to_dict()["package"] == {"name": "objclass", "version": __version__}
