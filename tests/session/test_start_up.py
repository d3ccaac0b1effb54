"""A session, and what napari's readers and samples need, are there without a window."""

import subprocess
import sys

OF_WINDOWS = ("napari", "qtpy", "PySide6", "PyQt6", "vispy", "matplotlib")


def test_nothing_of_windows_is_imported():
    """In a process of its own, with names of modules that are loaded at its end."""
    program = (
        "import sys, objclass, objclass.session.run_layers, objclass.session.samples; assert 'objclass.session' in sys.modules; "
        "import objclass.napari.reader, objclass.napari.samples; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(OF_WINDOWS) & set(done.stdout.split())


def test_the_package_alone_loads_no_session():
    program = "import sys, objclass; objclass.open_project; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"objclass.session", *OF_WINDOWS} & set(done.stdout.split())
