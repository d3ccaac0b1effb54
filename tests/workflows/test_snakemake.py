"""The Snakemake workflow, run by Snakemake."""

import itertools
import os
import re
import subprocess
import sys

import pytest
import tifffile
import yaml

from objclass.cli import main
from tests.conftest import ROOT
from tests.workflows.conftest import FILES, LANES, OPTIONS, PAIR, WORKFLOWS, digests

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the rules need bash")

pytest.importorskip("snakemake", reason="snakemake is not installed: pip install -e '.[workflows]'")

FOLDER = WORKFLOWS / "snakemake"


@pytest.fixture
def snakemake(lanes, environment):
    """A function that runs Snakemake on the lanes and returns what it has printed."""

    def run(*arguments, snakefile=FOLDER / "Snakefile", status=0):
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, *arguments]
        done = subprocess.run(
            command,
            check=False,
            cwd=lanes,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        logs = [path.read_text("utf-8") for path in lanes.glob("logs/**/*.log")]
        assert done.returncode == status, "\n".join([done.stdout, *logs])
        return done.stdout

    return run


CONFIG = ["--configfile", FOLDER / "config.yaml"]

TWO_JOBS = ["--cores", "2", "--set-threads", "classify=1"]


def test_two_jobs_equal_one_run(snakemake, lanes, plain):
    snakemake(*CONFIG, *TWO_JOBS)
    assert digests(lanes / "results") == digests(plain)
    assert len(digests(plain)) == len(LANES) + 2


@pytest.mark.slow
def test_sixty_lanes_in_seven_shards_equal_one_run(snakemake, lanes, monkeypatch):
    for number, role in itertools.product(range(57), ("raw", "segmentation")):
        os.link(lanes / f"images/{'abc'[number % 3]}_{role}.tif", lanes / f"images/d{number}_{role}.tif")
    monkeypatch.chdir(lanes)
    assert main(["--headless", "--quiet", *PAIR, *FILES, *OPTIONS]) == 0
    plain = (lanes / "results").rename(lanes / "plain")
    snakemake(*CONFIG, *TWO_JOBS, "--set-scatter", "objclass=7")
    assert digests(lanes / "results") == digests(plain)
    assert len(digests(plain)) == 62


@pytest.mark.slow
def test_snakemake_finds_no_fault(snakemake):
    assert "good condition" in snakemake(*CONFIG, "--lint")


@pytest.mark.slow
def test_the_module_of_the_page(snakemake, lanes, plain):
    page = (ROOT / "docs/how-to/workflows.md").read_text("utf-8")
    example = re.search(r"```python\n(module.*?)```", page, re.DOTALL)[1]
    (lanes / "Snakefile").write_text(example.replace("path/to/workflows", str(WORKFLOWS)), "utf-8")
    config = {"objclass": yaml.safe_load((FOLDER / "config.yaml").read_text("utf-8"))}
    (lanes / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    options = "--configfile", "config.yaml", "--cores", "2", "--set-scatter", "objclass=3"
    snakemake("results/count.txt", *options, snakefile=lanes / "Snakefile")
    rows = (plain / "objects.csv").read_text("utf-8").count("\n")
    assert (lanes / "results/count.txt").read_text().split()[0] == str(rows)
    assert digests(lanes / "results") == digests(plain)


APPTAINER = """#!/bin/bash
# As apptainer: its version, or the command in an image, which is run here; notes its arguments.
echo "$*" >> apptainer.log
if [ "$1" = --version ]; then echo "apptainer version 1.3.0"; exit; fi
while [ "$1" != bash ]; do shift; done
exec "$@"
"""


@pytest.mark.slow
def test_each_job_is_run_in_the_container_of_the_configuration(snakemake, lanes, plain, environment):
    for name in ("apptainer", "singularity"):
        (lanes / name).write_text(APPTAINER)
        (lanes / name).chmod(0o755)
    environment["PATH"] = os.pathsep.join([str(lanes), environment["PATH"]])
    (lanes / "objclass.sif").touch()
    snakemake(*CONFIG, *TWO_JOBS, "--config", "container=objclass.sif", "--sdm", "apptainer")
    assert (lanes / "apptainer.log").read_text().count("objclass.sif bash -c") == 3
    assert digests(lanes / "results") == digests(plain)


@pytest.mark.slow
def test_after_a_fault_lanes_that_are_done_are_not_repeated(snakemake, lanes, plain):
    image = lanes / "images/b_raw.tif"
    tifffile.imwrite(image, tifffile.imread(image), compression="zlib")
    good = image.read_bytes()
    middle = len(good) // 2
    image.write_bytes(good[:middle] + bytes(100) + good[middle + 100 :])
    one_shard = [*CONFIG, *TWO_JOBS, "--set-scatter", "objclass=1"]
    snakemake(*one_shard, status=1)
    assert not (lanes / "results/objects.csv").exists()
    image.write_bytes(good)
    snakemake(*one_shard)
    assert "1 of 3 lanes are complete already" in (lanes / "logs/objclass/1-of-1.log").read_text()
    assert digests(lanes / "results") == digests(plain)
