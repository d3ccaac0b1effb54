"""What all widgets share: the session, its work in the background, and the signals that tell of changes."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, Signal

from objclass.errors import ObjclassError
from objclass.napari.messages import messages_in_words, sentence
from objclass.napari.task import Task
from objclass.session.classification import Classification
from objclass.session.images import FoundObjects
from objclass.session.judgement import Judgement
from objclass.session.live import Live
from objclass.session.session import Session
from objclass.session.state import Finding


class Controller(QObject):
    """The session of a widget. Widgets change it by `change`, and follow its signals; they hold no state of their own.

    Attributes
    ----------
    images_changed
        Images were added or removed, or another session was opened.
    image_changed
        Another image is shown: its key, -1 if there is none.
    settings_changed
        Features or thresholds were changed.
    classes_changed
        Classes were added, renamed, recoloured or removed.
    labels_changed
        Labels were given or taken away (also by undo, by other classes and other objects).
    objects_found
        The objects of an image are new: its key.
    measured
        The features of an image are new: its key.
    classified
        All objects have new classes, or none any more.
    judged
        How good the classifier is has become known, or is not known any more.
    current_changed
        The class that a click gives is another one (its number).
    labelling_changed
        Whether clicks give labels.
    selection_changed
        Other objects are selected: key of the image, and a tuple of their numbers.
    status_changed
        A sentence for the user, and whether it says that something is wrong.
    progressed
        Name of an image, and its completed fraction.
    busy_changed
        Work has begun or ended (`is_busy`).
    """

    images_changed = Signal()
    image_changed = Signal(int)
    settings_changed = Signal()
    classes_changed = Signal()
    labels_changed = Signal()
    objects_found = Signal(int)
    measured = Signal(int)
    classified = Signal()
    judged = Signal()
    current_changed = Signal(int)
    labelling_changed = Signal(bool)
    selection_changed = Signal(int, object)
    status_changed = Signal(str, bool)
    progressed = Signal(str, float)
    busy_changed = Signal()

    _posted = Signal(object)

    def __init__(self, session: Session | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(lambda function: function())
        self.task = Task(self)
        self.task.began.connect(self.busy_changed)
        self.task.ended.connect(self.busy_changed)
        self.task.failed.connect(lambda fault: self.status_changed.emit(fault, True))
        self.task.progressed.connect(self.progressed)
        self.status_changed.connect(self._note_refusal)
        self.live: Live | None = None
        self.selection: tuple[int, tuple[int, ...]] = (-1, ())
        self.current, self._status = 1, ""
        self._is_refused = False
        self.current_image = -1
        self.is_labelling = self.is_live = True
        self.open(session or Session())

    def open(self, session: Session) -> None:
        """Work with another session."""
        if self.live is not None:
            self.live.close(0)
        self.session = session
        self.live = Live(
            session,
            self._post,
            found=self._found,
            ended=self._ended,
            progress=self.progressed.emit,
        )
        self.live.classifies = self.is_live
        self._tell_all()
        self.request()

    def change(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a method of the session that changes it; tell of what has changed, and have it worked on.

        An error of ours is shown as the status, until the user does something that works; then None is returned.
        """
        before = self.session.state
        try:
            with messages_in_words():
                result = method(*args, **kwargs)
        except ObjclassError as fault:
            self.status_changed.emit(sentence(fault), True)
            return None
        after = self.session.state
        if after is before:
            self._forget_refusal()
            return result
        if after.images != before.images:
            self.images_changed.emit()
            self.show_image(self.current_image)
        if after.settings != before.settings:
            self.settings_changed.emit()
        if after.labelling.classes != before.labelling.classes:
            self.classes_changed.emit()
            self.set_current(self.current)
        if after.labelling is not before.labelling:
            self.labels_changed.emit()
        if after.classification is not before.classification:
            self.classified.emit()
        if after.judgement is not before.judgement:
            self.judged.emit()
        self.tell_status()
        self.request()
        return result

    def set_current(self, number: int) -> None:
        """Choose the class that a click gives; out of range: the nearest one."""
        number = max(1, min(number, len(self.session.classes)))
        if number != self.current:
            self.current = number
            self.current_changed.emit(number)
            self._forget_refusal()

    def set_labelling(self, is_labelling: bool) -> None:  # noqa: FBT001  # a slot of buttons
        """Choose whether clicks give labels; else they select objects."""
        if is_labelling != self.is_labelling:
            self.is_labelling = is_labelling
            self.labelling_changed.emit(is_labelling)
            self._forget_refusal()

    def set_live(self, is_live: bool) -> None:  # noqa: FBT001  # a slot of buttons
        """Choose whether objects are classified after each change."""
        self.is_live = is_live
        if self.live is not None:
            self.live.classifies = is_live
        self._forget_refusal()
        self.request()

    def show_image(self, key: int) -> None:
        """Choose the image that is shown; if there is no such image: the first one."""
        keys = [image.key for image in self.session.state.images]
        chosen = key if key in keys else next(iter(keys), -1)
        if chosen != self.current_image:
            self.current_image = chosen
            self.image_changed.emit(chosen)
            self._forget_refusal()

    def select(self, key: int, numbers: tuple[int, ...]) -> None:
        """Select objects of an image, for all widgets."""
        if (key, numbers) != self.selection:
            self.selection = (key, numbers)
            self.selection_changed.emit(key, numbers)
            self._forget_refusal()

    def tell_status(self) -> None:
        """Say what stands in the way and which labels are lost, or that all is well."""
        self._status = self.session.state.status
        self.status_changed.emit(self._status, False)

    def _note_refusal(self, _: str, is_wrong: bool) -> None:  # noqa: FBT001  # Qt's signal
        self._is_refused = is_wrong

    def _forget_refusal(self) -> None:
        """Say no longer what was wrong with the last thing that the user wanted: this one has worked."""
        if self._is_refused:
            self.tell_status()

    @property
    def of_objects(self) -> tuple[Any, ...]:
        """The signals after which another table of objects is shown, or a column of it is new."""
        return (
            self.images_changed,
            self.image_changed,
            self.classes_changed,
            self.labels_changed,
            self.objects_found,
            self.measured,
            self.classified,
            self.judged,
        )

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return self.task.is_busy or (self.live is not None and self.live.is_busy)

    def close(self) -> None:
        """Stop the work; the window is closed."""
        self.task.close()
        if self.live is not None:
            self.live.close()

    def request(self) -> None:
        """Have the session worked on."""
        if self.live is not None:
            self.live.request()
            self.busy_changed.emit()

    def _post(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the window is gone
            self._posted.emit(function)

    def _tell_all(self) -> None:
        self.images_changed.emit()
        self.show_image(self.current_image)
        self.settings_changed.emit()
        self.classes_changed.emit()
        self.labels_changed.emit()
        self.judged.emit()
        self.tell_status()

    def _found(self, finding: Finding) -> None:
        if isinstance(finding, Judgement):
            self.judged.emit()
        elif isinstance(finding, Classification):
            self.classified.emit()
        elif isinstance(finding, FoundObjects):
            self.objects_found.emit(finding.image.key)
            self.labels_changed.emit()
        else:
            self.measured.emit(finding.found.image.key)
        if self.session.state.status != self._status:
            self.tell_status()

    def _ended(self, fault: Exception | None) -> None:
        self.busy_changed.emit()
        if fault is not None:  # else what was said last is still true: it may be an error of the user
            self.status_changed.emit(sentence(fault), True)
            self._is_refused = False  # true until images, labels or settings are changed
