"""Compiled where it pays; the same numbers either way."""

import math
import subprocess
import sys
from threading import Barrier, Thread

import numpy as np
import pytest

from objclass.compute.kernels import Kernels


def halves(x):
    """Called by the kernel below."""
    return math.sqrt(x) / 2


def roots(values, count, answers, *more):
    for i in range(count):
        answers[i] = halves(values[i]) + math.pow(values[i], 3.0) + more[0][i] / (values[i] - 1)


def lists(values, count):
    found = [values[i] for i in range(count)]
    values[0] = sum(found)


SIGNATURE = ("float64*", "int64", "float64*", "float64*")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def native(*functions, signature=SIGNATURE):
    kernels = Kernels(globals(), repays_loading=10, repays_compiling=100, signature=signature)
    kernels.functions += functions or (halves, roots)
    return kernels


@pytest.mark.parametrize("ready", [True, False])
def test_much_work_is_worth_compiling(ready):
    kernels = native()
    kernels.__dict__["compiled"] = ("compiled", ready)
    assert kernels.choose(9) is None
    assert (kernels.choose(1) == "compiled") is ready  # ten in all
    assert kernels.choose(90) == "compiled"
    kernels = native()
    kernels.__dict__["compiled"] = ("compiled", ready)
    assert (kernels.choose(1, known=10) == "compiled") is ready
    assert kernels.choose(1, known=100) == "compiled"


def answers(function):
    values, found, more = np.array([0.0, 1, 2, 3.7]), np.zeros(4), np.arange(4.0)
    with np.errstate(divide="ignore"):
        function(values, 4, found, more)
    return found.tolist()


def test_machine_code_is_kept_and_equal(folder):
    first = native()
    assert first.choose(99) is None
    function = first.choose(1)
    assert not first.compiled[1]
    assert answers(function) == answers(roots)
    assert len(list(folder.iterdir())) == 1
    again = native()
    assert again.choose(10).is_kept
    assert answers(again.compiled[0]) == answers(roots)


@pytest.mark.parametrize("damage", [slice(0), slice(-9), slice(1, None)])
def test_damaged_machine_code_is_not_loaded(folder, damage):
    answers(native().compiled[0])
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[damage])
    function, ready = native().compiled
    assert not ready
    assert answers(function) == answers(roots)
    assert native().compiled[1]


def test_machine_code_of_another_source_is_not_loaded(folder, tmp_path_factory):
    answers(native().compiled[0])
    other = tmp_path_factory.mktemp("other") / "test_kernels.py"
    other.write_text("edited")
    kernels = Kernels(
        {**globals(), "__file__": str(other)}, repays_loading=1, repays_compiling=1, signature=SIGNATURE
    )
    kernels.functions += halves, roots
    assert not kernels.compiled[1]


def test_machine_code_without_a_folder(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file / "inside"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(file / "inside"))
    names = {**globals(), "__file__": str(file / "module.py")}
    for _ in range(2):
        kernels = Kernels(names, repays_loading=1, repays_compiling=1, signature=SIGNATURE)
        kernels.functions += halves, roots
        assert not kernels.compiled[1]
        assert answers(kernels.compiled[0]) == answers(roots)


def test_a_kernel_that_makes_objects_is_refused(folder):
    with pytest.raises(TypeError, match="kernel lists makes objects or raises"):
        native(lists, signature=("float64*", "int64")).compiled[0](np.ones(3), 3)


def test_arrays_of_other_types_are_refused(folder):
    function = native().compiled[0]
    with pytest.raises(AssertionError):
        function(np.ones(3, np.float32), 3, np.ones(3), np.ones(3))
    with pytest.raises(AssertionError):
        function(np.ones(6)[::2], 3, np.ones(3), np.ones(3))


def test_threads_compile_once_and_answer_the_same(folder):
    function, found, barrier = native().compiled[0], [], Barrier(4)

    def run():
        barrier.wait()
        found.append(answers(function))

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [answers(roots)] * 4


def test_what_is_kept_needs_no_numba():
    code = (
        "import sys, numpy as np; from objclass.features import Frame, choose, measure; from objclass.core import Objects\n"
        "from objclass.core import Objects; from objclass.features.sets.skeleton import FEATURES, kernel\n"
        "kernel.choose(10**9)\n"
        "labels = np.zeros((1, 9, 9), np.uint32); labels[0, 2:6, 3:7] = 1\n"
        "measure(Frame(Objects(labels, 1), None, 0, (1, 1)), FEATURES.values())\n"
        "print('llvmlite' in sys.modules, 'numba' in sys.modules)"
    )
    for _ in range(2):  # the first may compile it
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "True False\n"
