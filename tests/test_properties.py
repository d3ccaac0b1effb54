"""Property tests once more, with many more examples than the fast tests have time for."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_many_more_examples():
    """Some minutes; those that fail are said with the arguments that repeat them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hypothesis and not slow", "tests"],
        cwd=ROOT, env={**os.environ, "OBJCLASS_TEST_EXAMPLES": "10"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
