"""The Galaxy tool. Its own tests are run without Galaxy: the template is rendered by Galaxy's engine and run by bash.

With a Galaxy server they are run by ``planemo test --test_data sample_data workflows/galaxy/objclass.xml``.
"""

import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile

from objclass.cli.headless import HeadlessOptions
from objclass.registry import FEATURE_SETS
from objclass.version import __version__
from tests.conftest import SAMPLES
from tests.workflows.conftest import WORKFLOWS

FILE = WORKFLOWS / "galaxy/objclass.xml"


class Value(str):  # noqa: SLOT000  it has other attributes for each parameter
    """A parameter: text, with attributes of a dataset or the parameters of a conditional."""

    def __new__(cls, text="", **attributes):
        value = super().__new__(cls, text)
        value.__dict__.update(attributes)
        return value

    def __getitem__(self, name):
        return self.__dict__[name]


def expanded(element, macros, tokens):
    """An element with the macros in it, and in these, in their places."""
    made = ElementTree.Element(
        element.tag, {name: fill(value, tokens) for name, value in element.attrib.items()}
    )
    made.text, made.tail = fill(element.text, tokens), element.tail
    for child in element:
        if child.tag == "expand":
            macro = macros[child.get("macro")]
            own = {
                f"@{name[6:].upper()}@": value for name, value in macro.attrib.items() if name[:6] == "token_"
            }
            own |= {f"@{name.upper()}@": value for name, value in child.attrib.items() if name != "macro"}
            made.extend(expanded(macro, macros, tokens | own))
        elif child.tag != "macros":
            made.append(expanded(child, macros, tokens))
    return made


def fill(text, tokens):
    for _ in range(2):  # tokens in tokens
        text = re.sub(r"@[A-Z_]+@", lambda found: tokens.get(found[0], found[0]), text or "")
    return text


@pytest.fixture(scope="module")
def tool():
    imported = ElementTree.parse(FILE.parent / "macros.xml").getroot()
    tokens = {token.get("name"): token.text for token in imported.findall("token")}
    macros = {macro.get("name"): macro for macro in imported.findall("xml")}
    return expanded(ElementTree.parse(FILE).getroot(), macros, tokens)


def name_of(param):
    return param.get("name") or param.get("argument").lstrip("-")


def default(param):
    if param.get("type") != "select":
        return param.get("value", "")
    chosen = [option.get("value") for option in param if option.get("selected") == "true"]
    if param.get("multiple") == "true":
        return ",".join(chosen) or "None"
    return chosen[0] if chosen else param.find("option").get("value")


def values(inputs, given, folder):
    """The parameters of a form, as the template of a tool sees them."""
    found = {}
    test = {name_of(element): element for element in given if element.tag in ("param", "conditional")}
    for element in inputs:
        name = name_of(element)
        if element.tag == "conditional":
            inner = test.get(name, [])
            chosen = values([element[0]], inner, folder)
            (case,) = (
                when for when in element.findall("when") if when.get("value") == next(iter(chosen.values()))
            )
            found[name] = Value(**chosen, **values(case, inner, folder))
        elif element.get("type") == "data":
            found[name] = dataset(test[name], folder)
        else:
            found[name] = Value(test[name].get("value") if name in test else default(element))
    return found


def dataset(given, folder):
    """A file as Galaxy keeps it: a number, no suffix."""
    folder.mkdir(exist_ok=True)
    path = folder / f"dataset_{len(list(folder.iterdir()))}.dat"
    shutil.copy(SAMPLES / given.get("value"), path)
    return Value(path, ext=given.get("ftype"), element_identifier=given.get("value"))


def render(text, given):
    cheetah = pytest.importorskip(
        "Cheetah.Template", reason="CT3, Galaxy's engine of templates, is not installed"
    )
    return str(cheetah.Template(text, searchList=[given]))


def run(tool, test, folder, environment):
    """Run the command of a test; return the process, and the files that it should write and has written."""
    given = values(tool.find("inputs"), test, folder / "files")
    outputs = {data.get("name"): folder / f"{data.get('name')}.dat" for data in tool.find("outputs")}
    command = render(tool.findtext("command"), given | {name: str(path) for name, path in outputs.items()})
    (folder / "working").mkdir()
    process = subprocess.run(
        ["bash", "-c", " ".join(command.split())],  # one line, as Galaxy makes it
        cwd=folder / "working",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wanted = {
        data.get("name")
        for data in tool.find("outputs")
        if all(
            eval(condition.text, {}, dict(given)) for condition in data.findall("filter")
        )  # as Galaxy does
    }
    return process, {outputs[name] for name in wanted}, {path for path in outputs.values() if path.exists()}


ASSERTIONS = {
    "has_text": lambda path, text: text in path.read_text("utf-8"),
    "has_n_lines": lambda path, n: len(path.read_text("utf-8").splitlines()) == int(n),
    "has_image_width": lambda path, width: tifffile.imread(path).shape[-1] == int(width),
    "has_image_n_labels": lambda path, n: len(np.unique(tifffile.imread(path))) == int(n),
    "has_image_channels": lambda path, channels: tifffile.imread(path).shape[0] == int(channels),
    "has_h5_keys": lambda path, keys: set(h5py.File(path)) == set(keys.split(",")),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Galaxy runs bash")
@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_the_tests_of_the_tool(tool, number, tmp_path, environment):
    test = tool.find("tests")[number]
    process, wanted, written = run(
        tool, test, tmp_path, environment | {"GALAXY_SLOTS": "1", "GALAXY_MEMORY_MB": "2000"}
    )
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    assert written == wanted
    assert len(written) == int(test.get("expect_num_outputs"))
    for output in test.findall("output"):
        path = tmp_path / f"{output.get('name')}.dat"
        if expected := output.get("file"):
            assert path.read_bytes() == (SAMPLES / expected).read_bytes()
        for assertion in output.findall("assert_contents/*"):
            assert ASSERTIONS[assertion.tag](path, **assertion.attrib), ElementTree.tostring(assertion)


@pytest.mark.skipif(sys.platform == "win32", reason="Galaxy runs bash")
def test_a_refusal_is_one_line(tool, tmp_path, environment):
    test = tool.find("tests")[3]
    process, _, written = run(tool, test, tmp_path, environment)
    assert process.returncode == int(test.get("expect_exit_code"))
    assert len(process.stderr.splitlines()) == 1
    assert test.find("assert_stderr/has_text").get("text") in process.stderr
    assert not written


def test_names_of_datasets_are_safe(tool):
    """They go into a shell, and into file names and tables."""
    raw = Value(
        "/files/dataset_1.dat", ext="ome.tiff", element_identifier="../it's $HOME `a`;{b}*.OME.tiff.ome.tif"
    )
    given = {
        "raw": raw,
        "objects": Value(image=raw),
        "task": Value(images=""),
        "reports": "",
        "image_format": "tiff",
    }
    head = tool.findtext("command").partition("mkdir")[0]
    assert (
        render(head + "$raw_file", given).splitlines()[-1]
        == "inputs/.._it_s__HOME__a___b__.OME.tiff.ome.tiff"
    )


def test_every_option_and_choice_exists(tool):
    fields = HeadlessOptions.__dataclass_fields__
    used = set(re.findall(r"--(\w+)", tool.findtext("command")))
    kinds = {option.get("value") for option in tool.iterfind(".//param[@name='kind']/option")}
    assert kinds == {"segmentation_image", "prediction_maps", "label_image"}
    assert (used | kinds) - {"headless"} <= set(fields)
    for param in tool.iterfind(".//param[@argument]"):
        assert param.get("argument")[2:] in fields
        choices = {option.get("value") for option in param.findall("option")}
        known = (
            FEATURE_SETS
            if param.get("argument") == "--features"
            else fields[param.get("argument")[2:]].metadata.get("choices")
        )
        assert choices <= set(known or ()), param.get("argument")


def test_the_version_is_that_of_objclass(tool):
    assert tool.get("version").split("+")[0] == __version__
    assert tool.find("requirements/requirement").get("version") == __version__
    assert __version__ in tool.findtext("citations/citation")


def test_defaults_are_those_of_the_command_line(tool):
    fields = HeadlessOptions.__dataclass_fields__
    for name in ("threshold", "channel", "smooth", "min_size"):
        (param,) = tool.iterfind(f".//param[@argument='--{name}']")
        assert float(param.get("value")) == fields[name].default, name


@pytest.mark.slow
def test_planemo_has_nothing_to_say():
    planemo = shutil.which("planemo")
    if planemo is None:
        pytest.skip("planemo is not installed")
    process = subprocess.run(
        [planemo, "lint", "--fail_level", "warn", str(FILE)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
