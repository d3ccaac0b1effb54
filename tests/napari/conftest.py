"""What tests of the napari plug-in share: a display, a viewer, and errors in slots that fail tests.

All tests in this folder have the marker ``gui``. Mouse and keys are in `tests.napari.events`.
"""

import atexit
import gc
import importlib
import os
import select
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.napari.events import opened

HERE = Path(__file__).parent

PROBE = """
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
from qtpy.QtWidgets import QApplication
app, context, surface = QApplication([]), QOpenGLContext(), QOffscreenSurface()
surface.create()
assert context.create() and context.makeCurrent(surface), "Qt has no OpenGL on this display"
"""

WARNINGS = [
    "ignore",  # napari and pydantic deprecate each other's ways
    "error:::objclass",
    "error::pytest.PytestUnhandledThreadExceptionWarning",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gui)
            for warning in reversed(WARNINGS):
                item.add_marker(pytest.mark.filterwarnings(warning), append=False)


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """A display with OpenGL for all tests of this process; napari keeps its settings in a temporary folder."""
    pytest.importorskip("napari", exc_type=ImportError)
    home = tmp_path_factory.mktemp("napari")
    os.environ["NAPARI_CONFIG"] = str(home / "settings.yaml")
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(home)
    if not os.environ.get("OBJCLASS_TEST_DISPLAY"):
        if not shutil.which("Xvfb"):
            pytest.skip("Xvfb is not installed (.ci/display), and OBJCLASS_TEST_DISPLAY is not set")
        os.environ |= {"DISPLAY": started_display(), "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}
    # in another process: without a library, Qt ends the one that it is in
    tried = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    if tried.returncode:
        pytest.skip(f"Qt cannot open windows here: {tried.stderr.strip().splitlines()[-1:]}")
    importlib.import_module("napari.window")
    importlib.import_module("objclass.napari.widget")
    # napari looks through all objects for garbage when a layer is removed: what is loaded so far is none
    gc.freeze()


def started_display() -> str:
    """Start a display without a screen; it ends with this process."""
    read, write = os.pipe()
    server = subprocess.Popen(
        # its input ends with this process, even if that crashes
        ["sh", "-c", 'Xvfb "$@" & read -r _; kill $!', "sh",
         "-displayfd", str(write), "-screen", "0", "1600x1200x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=[write], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    # registered before Qt is loaded, and so called after Qt has left the display
    atexit.register(server.stdin.close)
    with os.fdopen(read) as answer:
        number = answer.readline().strip() if select.select([answer], [], [], 20)[0] else ""
    if not number:
        pytest.skip("Xvfb does not start here")
    return f":{number}"


@pytest.fixture(scope="module")
def module_viewer(display):
    """One viewer for all tests of a module, in a window."""
    with opened() as viewer:
        yield viewer


@pytest.fixture
def viewer(display):
    """A viewer in a window, closed after the test."""
    with opened() as viewer:
        yield viewer


@pytest.fixture(autouse=True)
def no_kept_session():
    """A widget that the next test opens in the same window begins anew."""
    yield
    if "napari" in sys.modules:
        from qtpy.QtWidgets import QApplication

        for window in QApplication.topLevelWidgets():
            window.setProperty("objclass_session", None)


@pytest.fixture(autouse=True)
def no_hidden_errors(monkeypatch):
    """Errors in slots, in threads and in napari's notifications fail the test."""
    faults = []
    monkeypatch.setattr(sys, "excepthook", lambda _type, error, _trace: faults.append(error))
    monkeypatch.setattr(threading, "excepthook", lambda args: faults.append(args.exc_value))
    yield
    if "napari" in sys.modules:
        from napari.utils.notifications import notification_manager

        faults += [one.message for one in notification_manager.records if one.severity.value == "error"]
        notification_manager.records.clear()
    if faults:
        raise faults[0] if isinstance(faults[0], BaseException) else AssertionError(faults[0])
