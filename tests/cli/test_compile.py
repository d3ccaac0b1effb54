"""``objclass compile``."""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import objclass
from objclass.cli import compile as command
from objclass.cli import main
from objclass.compute import kernels, processor
from objclass.compute.kernels import Kernel
from objclass.registry import KERNELS, resolve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


def fresh(target):
    """The kernel as another process would have it."""
    known = resolve(target)
    return Kernel(known.entry, repays_loading=1, repays_compiling=1)


def test_every_kernel_is_listed():
    found = set()
    for module in pkgutil.walk_packages(objclass.__path__, "objclass."):
        if not module.name.endswith("__main__") and not module.name.startswith("objclass.napari"):
            values = vars(importlib.import_module(module.name)).values()
            found |= {value.entry for value in values if isinstance(value, Kernel)}
    assert [resolve(target).entry for target in KERNELS] == sorted(found, key=lambda entry: entry.__name__)


def test_what_was_compiled_ahead_needs_no_compiler(folder, monkeypatch, capsys):
    """Another process loads it from there, and compiles nothing; a second time there is nothing to do."""
    quick = KERNELS[-2:]
    monkeypatch.setattr(command, "KERNELS", quick)
    monkeypatch.setattr(command, "resolve", fresh)
    assert main(["compile"]) == 0
    first, second, where = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{resolve(quick[0]).name}: compiled in ")
    assert "compiled" in second
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert where == f"{folder}: 2 files, {size / 1000:.0f} kB"
    monkeypatch.setattr("numba.njit", None)
    assert fresh(quick[0]).choose(1) is not None
    assert main(["compile"]) == 0
    assert capsys.readouterr().out.count(": kept\n") == 2


def test_portable_code_is_tuned_for_all_and_loaded(folder, tmp_path):
    """In a process of its own: numba takes the processor from its first compilation."""
    program = (
        "import sys; from objclass.cli import compile; from objclass.cli import main; "
        "compile.KERNELS = compile.KERNELS[-1:]; sys.exit(main(['compile', '--portable']))"
    )
    for expected in ("compiled in", ": kept"):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert expected in run.stdout
        assert not run.stderr
    (file,) = folder.iterdir()
    kernel = resolve(KERNELS[-1])
    assert file == kernel.path(processor.common())
    assert kernel.path(processor.present()) is None
    assert fresh(KERNELS[-1]).choose(1) is not None or not processor.runs_portable_code()


def test_where_says_only_where(folder, capsys):
    assert main(["compile", "--where"]) == 0
    assert capsys.readouterr().out == f"{folder}: 0 files, 0 kB\n"
    assert not folder.exists()


def test_a_folder_that_others_can_write_is_refused(folder, monkeypatch, capsys):
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(command, "resolve", fresh)
    monkeypatch.setattr(kernels, "machine_code", lambda *_: b"code")
    assert main(["compile"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"objclass: error: compiled code can be kept in none of {folder}")


def test_without_numba_a_line_says_so(tmp_path):
    program = (
        "import sys; sys.modules['numba'] = None; from objclass.cli import main; sys.exit(main(['compile']))"
    )
    environment = {**os.environ, kernels.CACHE_FOLDER: str(Path(tmp_path, "none"))}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 2
    assert run.stderr.startswith("objclass: error: kernel ")
    assert run.stderr.endswith("(runs work without it, slower)\n")
    assert len(run.stderr.splitlines()) == 1
