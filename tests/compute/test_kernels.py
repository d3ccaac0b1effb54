"""Compiled where it pays; the same numbers either way; whatever goes wrong with compiling costs time alone."""

import ctypes
import math
import os
import signal
import subprocess
import sys
from threading import Barrier, Event, Thread, main_thread
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from objclass.compute import kernels, processor
from objclass.compute.kernels import Kernel, dependencies, kernel
from objclass.compute.processor import common, present
from objclass.errors import TerminatedError

HALF = 0.5
TABLE = np.array([0.0, 1, 2, 3])


class More(NamedTuple):
    """A structure."""

    weights: NDArray[np.float64]
    exponent: float


@kernel
def halves(x):
    return math.sqrt(x) * HALF + TABLE[int(x)]


def roots(values: NDArray[np.float64], n: int, found: NDArray[np.float64] | list[float], more: More) -> None:
    for i in range(n):
        found[i] = halves(values[i]) + math.pow(values[i], more.exponent) + more.weights[i] / (values[i] - 1)


def lists(values: NDArray[np.float64], n: int) -> None:
    found = [values[i] for i in range(n)]
    values[0] = sum(found)


def needed(_, n, *__):
    return dict.fromkeys(("values", "found", "weights"), n)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def lines(monkeypatch):
    """What is logged, by level."""
    said = {"debug": [], "info": [], "warning": []}
    for level, found in said.items():
        monkeypatch.setattr(kernels.log, level, lambda text, *given, found=found: found.append(text % given))
    return said


def native(entry=roots):
    return Kernel(entry, repays_loading=10, repays_compiling=100, lengths=needed)


def answers(function):
    values, found = np.array([0.0, 1, 2, 3.7]), np.zeros(4)
    with np.errstate(divide="ignore"):
        function(values, 4, found, More(np.arange(4.0), 3.0))
    return found.tolist()


def test_much_work_is_worth_compiling(folder):
    for _ in range(2):  # what was asked for before does not count
        one = native()
        assert [one.choose(work) for work in (9, 10, 99)] == [None] * 3
        assert not folder.exists()
    assert one.choose(100) is one.compiled
    assert one.choose(10) is one.compiled
    again = native()
    assert again.choose(9) is None
    assert again.choose(10) is again.compiled


def test_machine_code_is_kept_and_equal(folder):
    first = native()
    assert not first.is_kept
    assert answers(first.compiled) == answers(roots)
    (file,) = folder.iterdir()
    assert file.name == first.file_name(present())
    again = native()
    assert again.is_kept
    assert answers(again.compiled) == answers(roots)


@pytest.mark.parametrize("damage", [slice(0), slice(-9), slice(1, None)])
def test_damaged_machine_code_is_not_loaded(folder, damage):
    native().compiled  # noqa: B018
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[damage])
    assert not native().is_kept
    assert answers(native().compiled) == answers(roots)
    assert native().is_kept


@kernel
def other_halves(x):
    return x / 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("HALF", 0.25), ("TABLE", TABLE + 1), ("halves", other_halves)],
    ids=["HALF", "TABLE", "halves"],
)
def test_what_the_code_depends_on_is_in_its_name(folder, monkeypatch, name, value):
    """Constants, arrays and functions, of the kernel and of those that it calls, wherever they are from."""
    before = answers(native().compiled)
    monkeypatch.setitem(globals(), name, value)
    assert not native().is_kept
    assert answers(native().compiled) == answers(roots) != before


@pytest.mark.parametrize("package", ["numba", "llvmlite"])
def test_versions_are_in_the_name(monkeypatch, package):
    before = list(dependencies(roots, present()))
    release = kernels._release
    monkeypatch.setattr(kernels, "_release", lambda name: release(name) + "1" * (name == package))
    assert list(dependencies(roots, present())) != before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX")
def test_what_others_could_have_written_is_not_loaded(folder):
    native().compiled  # noqa: B018
    (file,) = folder.iterdir()
    assert native().is_kept
    for path, mode in ((file, 0o664), (file, 0o646), (folder, 0o775), (folder, 0o777)):
        before = path.stat().st_mode
        path.chmod(mode)
        assert not native().is_kept
        path.chmod(before)
    assert native().is_kept


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners are POSIX")
def test_what_belongs_to_somebody_else_is_not_loaded(folder, monkeypatch):
    native().compiled  # noqa: B018
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    trusted = native().is_kept
    assert trusted == (folder.stat().st_uid == 0)  # root's are


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Code next to the package, which another user than the present one has installed."""
    monkeypatch.delenv(kernels.CACHE_FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "package" / "kernels.py"))
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "kernels.py").touch()
    native().compiled  # noqa: B018
    return tmp_path / "package"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
def test_what_the_owner_of_the_package_compiled_is_loaded(installed, tmp_path):
    """Whoever installs programs for all, or root of an image under another number: its Python runs as well."""
    (file,) = (installed / "__pycache__").iterdir()
    for path in (installed / "kernels.py", file, file.parent):
        os.chown(path, 4321, -1)
    assert native().is_kept
    os.chown(file, 1234, -1)
    assert not native().is_kept
    os.chown(file, 4321, -1)
    os.chown(file.parent, 1234, -1)
    assert not native().is_kept


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
def test_the_owner_of_the_package_counts_nowhere_else(installed, monkeypatch):
    os.chown(installed / "kernels.py", 4321, -1)
    os.chown(installed / "__pycache__", 4321, -1)
    assert native().is_kept
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(installed / "__pycache__"))
    assert native().is_kept  # the folder that is trusted anyway
    elsewhere = (installed / "__pycache__").rename(installed / "other")
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(elsewhere))
    assert not native().is_kept


def test_portable_code_runs_where_there_is_no_other(folder, monkeypatch):
    """An image may be built on another processor than those that it runs on."""
    assert native().compile(common()) == folder / native().file_name(common())
    monkeypatch.setattr(processor, "present", lambda: present()._replace(name="", features="+some"))
    assert native().is_kept
    assert answers(native().compiled) == answers(roots)
    monkeypatch.setattr(processor, "runs_portable_code", lambda: False)
    assert not native().is_kept


@pytest.mark.parametrize("lacks", [None, *sorted(processor.V3)])
def test_portable_code_needs_all_that_it_uses(monkeypatch, lacks):
    known = dict.fromkeys(processor.V3, True) | {lacks: False}
    monkeypatch.setattr("llvmlite.binding.get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: known)
    assert common().name == "x86-64-v3"
    assert processor.runs_portable_code() == (lacks is None)


def test_portable_code_of_other_kinds_of_processors(monkeypatch):
    monkeypatch.setattr("llvmlite.binding.get_process_triple", lambda: "aarch64-unknown-linux-gnu")
    assert common()[1:] == ("generic", "")
    assert processor.runs_portable_code()


def test_nothing_is_read_from_the_cache_of_numba(folder, tmp_path, monkeypatch):
    native().compiled  # noqa: B018
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(tmp_path / "other"))
    assert not native().is_kept


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX")
def test_the_cache_of_a_user_is_private(tmp_path, monkeypatch):
    """And it is taken where that beside the package cannot be: it is read-only, or others can write it."""
    monkeypatch.delenv(kernels.CACHE_FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shared = tmp_path / "package"
    monkeypatch.setattr(kernels, "__file__", str(shared / "kernels.py"))
    (shared / "__pycache__").mkdir(parents=True)
    (shared / "kernels.py").touch()
    (shared / "__pycache__").chmod(0o777)
    native().compiled  # noqa: B018
    (file,) = (tmp_path / "objclass").iterdir()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list((shared / "__pycache__").iterdir())
    assert native().is_kept
    (shared / "__pycache__").chmod(0o755)
    file.unlink()
    native().compiled  # noqa: B018
    (file,) = (shared / "__pycache__").iterdir()
    assert file.stat().st_mode & 0o777 == 0o644  # what root puts there, all users of an image load


def test_where_nothing_can_be_kept_a_line_says_so_once(tmp_path, monkeypatch, lines):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(file / "inside"))
    kernels._warn_not_kept.cache_clear()
    for _ in range(2):
        assert answers(native().compiled) == answers(roots)
    (line,) = lines["warning"]
    assert "every run compiles it again" in line
    assert str(file / "inside") in line


def test_a_line_says_once_what_a_first_run_spends_seconds_on(folder, lines):
    kernels._say_that_it_compiles.cache_clear()
    for _ in range(2):
        native().compiled  # noqa: B018
    (line,) = lines["info"]
    assert "compiling code for this installation, once" in line


def test_a_full_disk_leaves_no_part(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    kernels._warn_not_kept.cache_clear()
    monkeypatch.setattr(os, "replace", full)
    assert answers(native().compiled) == answers(roots)
    assert not list(folder.iterdir())


def test_a_kernel_that_makes_objects_is_refused(folder):
    with pytest.raises(TypeError, match="kernel lists makes objects or raises"):
        native(lists).compiled  # noqa: B018


def uses_a_module(values: NDArray[np.float64], n: int) -> None:
    values[0] = kernels.NUMBER * n


def test_constants_of_other_modules_are_imported_by_name(folder):
    with pytest.raises(TypeError, match=r"uses the module objclass\.compute\.kernels: import"):
        native(uses_a_module).compiled  # noqa: B018


@pytest.mark.parametrize(
    ("position", "given", "message"),
    [
        (0, np.ones(4, np.float32), "values is float32"),
        (0, np.ones(8)[::2], r"values is float64, strides \(16,\)"),
        (0, [1.0] * 4, "values is <class 'list'>"),
        (3, More(np.ones(4, np.int64), 1.0), "weights is int64"),
        (3, (np.ones(4),), "1 values for"),
    ],
)
def test_arrays_of_other_types_are_refused(folder, position, given, message):
    arguments = [np.ones(4), 4, np.ones(4), More(np.ones(4), 1.0)]
    arguments[position] = given
    with pytest.raises(TypeError, match=message):
        native().compiled(*arguments)


def test_arrays_that_are_too_short_are_refused(folder):
    function = native().compiled
    with pytest.raises(ValueError, match="roots: weights has 3 elements: expected 4 or more"):
        function(np.ones(4), 4, np.ones(4), More(np.ones(3), 1.0))
    call = function.bind(np.ones(4))
    with pytest.raises(ValueError, match="values has 4 elements: expected 5"):
        call(5, np.ones(5), More(np.ones(5), 1.0))
    with pytest.raises(TypeError, match="roots takes 4 arguments"):
        call(4)


def test_threads_compile_once_and_answer_the_same(folder, monkeypatch):
    one, found, barrier, compiled = native(), [], Barrier(4), []
    monkeypatch.setattr(
        kernels, "machine_code", lambda *given, make=kernels.machine_code: compiled.append(1) or make(*given)
    )

    def run():
        barrier.wait()
        found.append(answers(one.compiled))

    threads = [Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [answers(roots)] * 4
    assert len(compiled) == 1


# ---------------------------------------------------------------------------- what goes wrong


def no_symbol(*_):
    message = "undefined symbol"
    raise RuntimeError(message)


@pytest.mark.parametrize(
    "broken",
    [
        ("numba", None),
        ("llvmlite.binding", None),
        ("llvmlite", None),
        ("numba.njit", lambda *_, **__: lambda function: function),  # as by NUMBA_DISABLE_JIT=1
        ("numba.njit", no_symbol),
        ("llvmlite.binding.create_lljit_compiler", no_symbol),
        ("llvmlite.binding.JITLibraryBuilder.link", no_symbol),
    ],
    ids=lambda broken: f"{broken[0]} {getattr(broken[1], '__name__', broken[1])}",
)
def test_whatever_goes_wrong_leaves_the_other_formulation(folder, monkeypatch, lines, broken):
    import llvmlite.binding
    import numba

    assert numba
    assert llvmlite.binding
    name, instead = broken
    if instead is None:
        monkeypatch.setitem(sys.modules, name, None)
    else:
        monkeypatch.setattr(name, instead)
    one = native()
    assert one.choose(10**9) is None
    assert one.choose(10**9) is None
    (line,) = lines["debug"]
    assert line.startswith("kernel roots runs uncompiled: ")


PROGRAM = """
import sys
import numpy as np
for name in {blocked}:
    sys.modules[name] = None
from objclass.compute import kernels
kernels.Kernel.choose = lambda self, work, choose=kernels.Kernel.choose: choose(self, 10**12)
from objclass.cli import main
code = main({arguments})
assert not {blocked} or not [m for m in sys.modules if m.startswith(("numba.", "llvmlite."))]
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("blocked", "environment"),
    [
        (["numba", "llvmlite"], {}),
        pytest.param(["numba"], {}, marks=pytest.mark.slow),
        pytest.param([], {"NUMBA_DISABLE_JIT": "1"}, marks=pytest.mark.slow),
    ],
    ids=["neither", "no numba", "disabled"],
)
def test_a_run_without_a_compiler_gives_the_same(samples, tmp_path, blocked, environment):
    """Each kernel is asked for, and each has a formulation that needs none."""
    arguments = [
        "--headless", "--debug", "--project", str(samples / "cells.ilp"),
        "--raw_data", str(samples / "cells.tif"), "--segmentation_image", str(samples / "cells_segmentation.tif"),
        "--export_object_prediction_img", "--output_format", "numpy",
        "--output_filename_format", str(tmp_path / "{result_type}"), "--table_filename", str(tmp_path / "t.csv"),
    ]  # fmt: skip
    program = PROGRAM.format(blocked=blocked, arguments=arguments)
    environment = {**os.environ, kernels.CACHE_FOLDER: str(tmp_path / "cache"), **environment}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    lines = [line for line in run.stderr.splitlines() if "runs uncompiled" in line]
    assert len({line.split()[1] for line in lines}) == len(lines) >= 4, run.stderr
    assert (tmp_path / "t.csv").read_bytes() == (samples / "cells_expected.csv").read_bytes()


def test_what_is_kept_needs_no_numba():
    code = (
        "import sys, numpy as np; from objclass.features import Frame, choose, measure; from objclass.core import Objects\n"
        "from objclass.core import Objects; from objclass.features.sets.skeleton import FEATURES, skeletons\n"
        "function = skeletons.choose(10**9); skeletons.choose = lambda _: function\n"
        "labels = np.zeros((1, 9, 9), np.uint32); labels[0, 2:6, 3:7] = 1\n"
        "measure(Frame(Objects(labels, 1), None, 0, (1, 1)), FEATURES.values())\n"
        "print('llvmlite' in sys.modules, 'numba' in sys.modules)"
    )
    for _ in range(2):  # the first may compile it
        run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "True False\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals to threads")
def test_a_signal_does_not_wait_for_the_compiler(monkeypatch, tmp_path):
    """It comes while C is at work, which no signal interrupts."""
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(tmp_path))
    begun, raised, ended = Event(), Event(), Event()
    library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_lock(mutex)  # zeros are a mutex

    def slowly(*_):
        begun.set()
        library.pthread_mutex_lock(mutex)
        ended.set()
        return b""

    def end(number, _):
        raise TerminatedError(number)

    def send():
        """The compiler ends after the signal was raised, or, if it never is, some time later."""
        begun.wait()
        if raised.is_set():
            return  # nothing was compiled
        # the system may choose another thread, left by other tests, which would not wake the main one
        signal.pthread_kill(main_thread().ident, signal.SIGTERM)
        raised.wait(60)
        library.pthread_mutex_unlock(mutex)

    monkeypatch.setattr(kernels, "machine_code", slowly)
    before = signal.signal(signal.SIGTERM, end)
    sender = Thread(target=send)
    sender.start()
    try:
        with pytest.raises(TerminatedError):
            Kernel(roots, repays_loading=1, repays_compiling=1).choose(9)
        assert not ended.is_set()
    finally:
        raised.set()
        begun.set()
        sender.join()
        signal.signal(signal.SIGTERM, before)
    assert ended.wait(60)
