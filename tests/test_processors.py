"""The same bits on every processor: nothing depends on what numpy or BLAS does with the one at hand."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

import objclass

PROGRAM = """
import hashlib
import sys
import numpy as np
import objclass
from objclass.features.contract import feature_set
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.registry import FEATURE_SETS
from objclass.segmentation.labelling import label
from objclass.segmentation.smoothing import kernels_for, smooth
samples = sys.argv[1]
result = objclass.predict(samples + "/cells.ilp", samples + "/cells.tif", segmentation=samples + "/cells_segmentation.tif")
print(hashlib.sha256(result.table.to_csv().encode()).hexdigest())
rng = np.random.default_rng(0)
for shape in (1, 70, 80), (8, 24, 30):
    d = 2 if shape[0] == 1 else 3
    pixels = rng.random(shape).astype(np.float32)
    for sigma in (0.7, 1.1, 2.3, 3.9):
        taps = kernels_for(shape, (sigma,) * 3)
        print(sigma, *(t.tobytes().hex() for _, t in taps), hashlib.sha256(smooth(pixels, taps)).hexdigest())
    objects = label(smooth(pixels, taps) > 0.5)
    frame = Frame(objects, lambda box: pixels[box][..., None], 1, (0.3, 0.7, 1.1)[:d], (5,) * d)
    for feature in (f for name in FEATURE_SETS for f in feature_set(name).values() if f.fits(d, 1)):
        values = measure(frame, [feature])[feature.key]
        print(d, *feature.key, hashlib.sha256(np.ascontiguousarray(values)).hexdigest())
"""


def said(samples, **environment):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(samples)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return run.stdout.splitlines()


def test_the_plainest_processor_gives_the_same(samples):
    """Without anything of numpy's that is chosen at run time, and with another BLAS."""
    chosen = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
    if not chosen:
        pytest.skip("numpy chooses nothing on this processor")
    plain = said(samples, NPY_DISABLE_CPU_FEATURES=chosen, OPENBLAS_CORETYPE="Nehalem")
    assert len(plain) > 200
    assert said(samples) == plain


LIBM = {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "power", "float_power", "arctan2", "arctan",
        "sin", "cos", "tan", "arcsin", "arccos", "sinh", "cosh", "tanh", "cbrt"}  # fmt: skip


def test_no_function_of_numpy_whose_last_bit_is_the_processors():
    """That on the way to a result: libm's are in `math`, and in `objclass.features.statistics.powers`."""
    found = [
        f"{file.name}:{node.lineno} np.{node.attr}"
        for file in Path(objclass.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in LIBM and ast.unparse(node.value) == "np"
    ]
    assert not found


def test_power_is_that_of_c():
    from objclass.features.statistics.powers import power

    bases = np.array([0.0, 2.5, 1e250, -8.0, np.nan, np.inf, -1.0])
    with np.errstate(all="ignore"):
        found = power(bases, 1.5)
    assert np.array_equal(found, [0, 2.5**1.5, np.inf, np.nan, np.nan, np.inf, np.nan], equal_nan=True)
    with np.errstate(all="ignore"):
        assert np.array_equal(power(np.array([0.0, 4.0]), -0.5), [np.inf, 0.5])
    assert power(np.zeros((0, 3)), 2.0).shape == (0, 3)
