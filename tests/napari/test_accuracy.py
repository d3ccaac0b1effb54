"""The accuracy panel: what it says, and the objects behind its numbers."""

from dataclasses import replace

import pytest

from objclass.session import Session
from objclass.session.judgement import judged
from objclass.settings import ResourceSettings
from tests.napari.events import process, wait_until
from tests.napari.sessions import labelled_session, wait_for_work


@pytest.fixture(scope="module")
def judged_state():
    """Two images; object 5 is labelled against all others."""
    session = labelled_session(images=2)
    session.label(0, [5], 1)
    session.update()
    session.accept(session.judge())
    return session.state


@pytest.fixture
def panel(display):
    from qtpy.QtWidgets import QApplication

    from objclass.napari.accuracy import AccuracyPanel
    from objclass.napari.controller import Controller

    _ = QApplication.instance() or QApplication([])
    controller = Controller()
    panel = AccuracyPanel(controller)
    panel.resize(400, 600)
    panel.show()
    process()
    yield panel
    controller.close()
    panel.close()
    panel.deleteLater()
    process()


def show(panel, state, *, evaluates=True):
    """Work with a session of a state."""
    panel.controller.open(Session.of(state, ResourceSettings()))
    panel.controller.live.evaluates = evaluates
    wait_for_work(panel.controller)
    wait_until(lambda: not panel._is_stale)


def click(panel, row, column):
    """Click on a cell of the confusion matrix."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    spot = panel.matrix.visualItemRect(panel.matrix.item(row, column)).center()
    button, held = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(panel.matrix.viewport(), button, held, spot)
    process()


def test_the_panel_says_what_is_missing(panel):
    assert panel.note.text().startswith("Not judged yet: No images")
    assert panel.matrix.isHidden()


def test_few_labels_are_no_scores(panel, judged_state):
    show(panel, judged_state)
    summary = judged_state.judgement.result.summary().splitlines()
    assert panel.headline.text() == "Too few labels to judge: label at least 10 objects of each class."
    assert not panel.details.text()
    assert panel.note.isHidden()
    cautions = [line.removeprefix("caution: ") for line in summary if line.startswith("caution: ")]
    assert panel.cautions.text().splitlines() == [f"• {sentence}" for sentence in cautions]
    evaluation = judged_state.judgement.result.evaluation
    shown = [[int(panel.matrix.item(k, m).text()) for m in range(2)] for k in range(2)]
    assert shown == evaluation.confusion.tolist()
    names = [panel.matrix.verticalHeaderItem(k).text() for k in range(3)]
    assert names == ["dark", "bright", "Precision"]
    assert panel.matrix.item(0, 2).text().startswith("8 of 9")


def test_a_click_on_a_cell_selects_its_objects(panel, judged_state):
    show(panel, judged_state)
    wrong = judged_state.judged_objects(1, 2)
    assert {key: found.tolist() for key, found in wrong.items()} == {0: [5]}
    panel.controller.show_image(1)
    click(panel, 0, 1)
    assert panel.controller.current_image == 0
    assert panel.controller.selection == (0, (5,))
    panel.controller.show_image(1)
    click(panel, 1, 1)
    assert panel.controller.selection == (1, (7, 8, 16, 64))
    click(panel, 1, 0)  # none
    assert panel.controller.selection == (1, (7, 8, 16, 64))


def test_a_judgement_of_other_labels_is_grey(panel, judged_state):
    show(panel, judged_state, evaluates=False)
    assert panel.matrix.isEnabled()
    panel.controller.change(panel.controller.session.label, 0, [3], 2)
    process()
    assert not panel.matrix.isEnabled()
    assert panel.note.text().startswith("Judging")
    wait_for_work(panel.controller)


def test_other_names_are_shown_at_once(panel, judged_state):
    show(panel, judged_state)
    panel.controller.change(panel.controller.session.rename_class, 1, "dim")
    wait_until(lambda: not panel._is_stale)
    assert panel.matrix.isEnabled()
    assert panel.matrix.verticalHeaderItem(0).text() == "dim"
    assert panel.matrix.horizontalHeaderItem(0).text() == "dim"
    assert panel.note.isHidden()


def test_too_few_labels_are_a_sentence(panel, judged_state):
    session = Session.of(judged_state, ResourceSettings())
    session.label(1, range(1, 65), 0)
    session.label(0, range(3, 65), 0)
    session.label(0, [2], 2)
    session.update()
    few = replace(session.state, judgement=judged(session.state.classification, session._context()))
    show(panel, few, evaluates=False)
    assert "needs four objects" in panel.note.text()
    assert panel.headline.isHidden()


def test_objects_that_are_not_there_any_more_are_not_selected(judged_state):
    gone = replace(judged_state, found={1: judged_state.found[1]})
    assert list(judged_state.judged_objects(1, 1)) == [1, 0]  # by name
    assert list(gone.judged_objects(1, 1)) == [1]
    assert replace(gone, judgement=None).judged_objects(1, 1) == {}
