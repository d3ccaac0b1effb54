"""Live update: a session is worked on in the background, while its owner (a window) goes on changing it."""

from collections.abc import Callable
from contextlib import closing
from threading import Thread
from typing import Any

from objclass.errors import Stop, TerminatedError
from objclass.session.courtesy import CourteousStop, Post
from objclass.session.session import Session
from objclass.session.state import Finding, State
from objclass.session.warming import warm_up


class Live:
    """Keeps what is known of a session up to date.

    All methods are called in the thread of the owner, and so are the functions that are given; only the work is done in
    another thread. A change while work is under way has the work done again when it has ended; work on objects that are
    not wanted any more is stopped.

    Parameters
    ----------
    session
        The session.
    post
        Hands a function to the thread of the owner.
    found
        Called with each finding that the session has accepted.
    ended
        Called when nothing is left to be done, with the error that has stopped the work, or None.
    progress
        Called with the name of an image and its completed fraction.
    """

    def __init__(
        self,
        session: Session,
        post: Post,
        *,
        found: Callable[[Finding], None],
        ended: Callable[[Exception | None], None],
        progress: Callable[[str, float], None],
    ) -> None:
        self.session, self.classifies, self.evaluates = session, True, True
        self._post, self._found, self._ended, self._progress = post, found, ended, progress
        self._stop: Stop = CourteousStop(post)
        self._thread: Thread | None = None
        self._state: State | None = None
        self._is_waiting = self._is_judging = self._is_warming = self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether work is under way."""
        return self._thread is not None and (self._is_waiting or not self._is_warming)

    def request(self) -> None:
        """Have the present state worked on."""
        if self._is_closed:
            return
        if self._thread is None:
            self._begin()
            return
        self._is_waiting = True
        if self._judges_in_vain or not _are_same_objects(self._state, self.session.state):
            self._stop.ask()

    def close(self, patience: float = 5.0) -> None:
        """Stop the work; wait at most ``patience`` seconds for its end."""
        self._is_closed = True
        self._stop.ask()
        if self._thread is not None:
            self._thread.join(patience)

    @property
    def _judges_in_vain(self) -> bool:
        """Whether it is judged how good a classifier is that is not wanted any more; one with other names still is."""
        return self._is_judging and not self.session.state.is_classified

    def _begin(self) -> None:
        self._stop, self._state = CourteousStop(self._post), self.session.state
        self._is_waiting = self._is_judging = self._is_warming = False
        self._thread = Thread(target=self._run, args=(self._stop, self._state), daemon=True)
        self._thread.start()

    def _run(self, stop: Stop, state: State) -> None:
        """Work; in the other thread."""
        fault: Exception | None = None
        try:
            self._work(Session.of(state, self.session.resources), stop)
        except TerminatedError:
            pass
        except Exception as error:  # noqa: BLE001  # the window shows it
            fault = error
        self._tell(self._end, fault)

    def _work(self, session: Session, stop: Stop) -> None:
        """Work on a session that no other thread has."""

        def report(name: str, part: float) -> None:
            self._tell(self._progress, name, part)

        with closing(session.work(stop=stop, progress=report, classifies=self.classifies)) as findings:
            for finding in findings:
                session.accept(finding)
                self._tell(self._take, finding)
                stop.check()
        if self.classifies and self.evaluates and session.state.is_classified and not session.state.is_judged:
            self._tell(self._begin_judging)
            self._tell(self._take, session.judge(stop))
        if session.state.classification is None:
            self._tell(self._begin_warming)
            warm_up(stop)  # while the user looks at the objects

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function in the thread of the owner, unless it has gone."""

        def call() -> None:
            if not self._is_closed:
                function(*args)

        if not self._is_closed:
            self._post(call)

    def _begin_judging(self) -> None:
        self._is_judging = True
        if self._is_waiting and self._judges_in_vain:
            self._stop.ask()

    def _begin_warming(self) -> None:
        """Nothing is left to be done that the owner waits for."""
        self._is_warming = True
        if not self._is_waiting:
            self._ended(None)

    def _take(self, finding: Finding) -> None:
        if self.session.accept(finding):
            self._found(finding)

    def _end(self, fault: Exception | None) -> None:
        self._thread = None
        if self._is_waiting:
            self._begin()
        elif fault is not None or not self._is_warming:
            self._ended(fault)


def _are_same_objects(a: State | None, b: State) -> bool:
    return a is not None and a.images == b.images and a.settings == b.settings
