"""Work that a button has begun, in another thread, so that the window goes on."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any

from qtpy.QtCore import QObject, Signal

from objclass.errors import Stop, TerminatedError
from objclass.napari.messages import messages_in_words, sentence
from objclass.session.courtesy import CourteousStop

Progress = Callable[[str, float], None]
"""Called with a name and its completed fraction."""


class Task(QObject):
    """Work in another thread; one at a time.

    Attributes
    ----------
    began
        Work has begun: its name.
    ended
        It has ended, in whatever way.
    failed
        It has ended with an error: a sentence.
    progressed
        A name, and its completed fraction.
    """

    began = Signal(str)
    ended = Signal()
    failed = Signal(str)
    progressed = Signal(str, float)

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(lambda function: function())
        self._stop: Stop = CourteousStop(self._post)
        self._thread: Thread | None = None
        self.name = ""

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None

    def begin(
        self,
        name: str,
        work: Callable[[Stop, Progress], Any],
        then: Callable[[Any], object] = lambda _: None,
        otherwise: Callable[[Exception], bool] = lambda _: False,
    ) -> None:
        """Begin work; say so if other work is under way.

        Parameters
        ----------
        name
            What is done, such as ``"Saving"``.
        work
            Called in another thread.
        then
            Called with its result, in the thread of the window.
        otherwise
            Called with the error that has ended it, in the thread of the window; returns whether it is dealt with.
        """
        if self.is_busy:
            self.failed.emit(f"{name}: wait until this has ended, or cancel it: {self.name}")
            return
        self.name, self._stop = name, CourteousStop(self._post)
        self._thread = Thread(target=self._run, args=(work, then, otherwise, self._stop), daemon=True)
        self.began.emit(name)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the work to end."""
        self._stop.ask()

    def close(self, patience: float = 5.0) -> None:
        """Ask the work to end; wait at most ``patience`` seconds for it. Its result is not used."""
        self._stop.ask()
        if self._thread is not None:
            self._thread.join(patience)

    def _run(
        self,
        work: Callable[[Stop, Progress], Any],
        then: Callable[[Any], object],
        otherwise: Callable[[Exception], bool],
        stop: Stop,
    ) -> None:
        try:
            with messages_in_words():
                result = work(stop, lambda name, part: self._post(lambda: self.progressed.emit(name, part)))
            follow: Callable[[], object] | None = partial(then, result)
        except TerminatedError:
            follow = None
        except Exception as error:  # noqa: BLE001  # the window shows it
            follow = partial(self._fail, error, otherwise)
        self._post(lambda: self._end(None if stop.is_asked else follow))

    def _fail(self, error: Exception, otherwise: Callable[[Exception], bool]) -> None:
        if not otherwise(error):
            self.failed.emit(sentence(error))

    def _post(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the window is gone
            self._posted.emit(function)

    def _end(self, follow: Callable[[], object] | None) -> None:
        self._thread = None
        self.ended.emit()
        if follow is not None:
            follow()
