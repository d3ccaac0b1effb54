"""The Slurm scripts, submitted to a scheduler of this test that runs them at once."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.workflows.conftest import FILES, OPTIONS, PAIR, WORKFLOWS, digests

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Slurm needs bash")

FOLDER = WORKFLOWS / "slurm"

SBATCH = """#!/bin/bash
# As sbatch: runs the script once for each job of an array, and the merge only if all of them are done; prints a number.
echo "$*" >> submitted
while [[ $1 == --* ]]; do
    case $1 in
        --array=1-*) count=${1#--array=1-} ;;
        --dependency=afterok:*) [ -e "job-${1##*:}" ] || exit 1 ;;
    esac
    shift
done
if [ -z "$count" ]; then
    bash "$@" >> log 2>&1 && echo 8
    exit
fi
export SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_COUNT=$count SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=$count
export SLURM_ARRAY_TASK_STEP=1 SLURM_CPUS_PER_TASK=1 SLURM_MEM_PER_NODE=1000
for ((k = 1; k <= count; k++)); do
    SLURM_ARRAY_TASK_ID=$k bash "$@" >> log 2>&1 || exit 1
done
touch job-7
echo "7;cluster"
"""


@pytest.fixture
def submit(lanes, environment):
    """A function that submits, and returns what it has printed."""
    (lanes / "bin").mkdir()
    (lanes / "bin/sbatch").write_text(SBATCH)
    (lanes / "bin/sbatch").chmod(0o755)
    path = os.pathsep.join([str(lanes / "bin"), environment["PATH"]])

    def run(*arguments, status=0):
        command = ["bash", FOLDER / "submit.sh", *arguments]
        done = subprocess.run(
            command, check=False, cwd=lanes, env=environment | {"PATH": path}, capture_output=True, text=True
        )
        log = lanes / "log"
        assert done.returncode == status, done.stderr + (log.read_text() if log.exists() else "")
        return done

    return run


def test_an_array_of_two_shards_equals_one_run(submit, lanes, plain):
    done = submit("2", "results", *PAIR, *FILES, *OPTIONS)
    assert done.stdout == "array of 2 shards: job 7; merge: job 8\n"
    assert digests(lanes / "results") == digests(plain)
    array, merge = (lanes / "submitted").read_text().splitlines()
    assert "--array=1-2" in array
    assert "--dependency=afterok:7 " in merge


def test_what_is_missing_is_named(submit):
    assert "expected the number of shards" in submit("2", status=2).stderr


@pytest.mark.skipif(
    not shutil.which("shellcheck"), reason="shellcheck is not installed: pip install -e '.[workflows]'"
)
def test_shellcheck_finds_no_fault():
    scripts = sorted(FOLDER.glob("*.sh"))
    assert len(scripts) == 3
    done = subprocess.run(["shellcheck", *scripts], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
