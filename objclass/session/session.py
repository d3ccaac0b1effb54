"""A labelling session: the state, and the ways to change it."""

import os
from collections.abc import Generator, Iterable
from dataclasses import replace
from threading import Lock
from typing import Any

from objclass.batch.request import Request
from objclass.compute.context import Context
from objclass.core import Image, Lane, Predictions, Progress
from objclass.door import door
from objclass.errors import ImageError, InputError, Stop, UsageError
from objclass.evaluation.frames import EvaluationResult
from objclass.export.atomic import check_output
from objclass.pipeline.given import given_image, given_raw
from objclass.pipeline.inputs import computed
from objclass.pipeline.pairing import OBJECT_ROLES
from objclass.project.model import Color, Project, writer_for
from objclass.session.classification import Classification, uncertain_objects
from objclass.session.command import command_of
from objclass.session.export import Outputs, export, request_of
from objclass.session.images import FoundObjects, MeasuredObjects
from objclass.session.judgement import Judgement, judged
from objclass.session.labelling import LabelClass, Labelling, Labels
from objclass.session.opening import open_saved
from objclass.session.projects import SavedProject, check_fits, new_image
from objclass.session.saving import save_state
from objclass.session.state import Finding, SessionSettings, State, work
from objclass.settings import ProjectThreshold, ResourceSettings


class Session:
    """Label objects of images, and see all others classified.

    Its methods change the state at once and compute nothing long. What follows from a change is computed by
    `update`, or, for programs with windows, by `work` in another thread and `accept` in that of the window (`Live` does it).

    Parameters
    ----------
    settings
        How objects are found, measured and classified.
    resources
        Threads and memory; by default those of the machine.
    """

    def __init__(
        self, settings: SessionSettings | None = None, resources: ResourceSettings | None = None
    ) -> None:
        self.state = State(settings or SessionSettings())
        self.resources = resources or ResourceSettings()
        self._saved: SavedProject | None = None
        self._being_saved: SavedProject | None = None
        self._lock = Lock()  # of both, and of the labels that are located in them and in the state

    @classmethod
    def of(cls, state: State, resources: ResourceSettings) -> "Session":
        """A session with a state, which may be that of another one."""
        session = cls(resources=resources)
        session.state = state
        return session

    # ----------------------------------------------------------------- project

    @classmethod
    @door(allow_misses="allow_misses=True")
    def open(
        cls,
        path: str | os.PathLike[str],
        resources: ResourceSettings | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        allow_servers: bool = False,
        allow_misses: bool = False,
    ) -> "Session":
        """Open a project that classifies objects, of ilastik or of ours, with its images, labels and settings.

        Headers of images are read, no pixels. As long as labels and settings are not changed, the forest of the project
        classifies; then it is trained again.

        Parameters
        ----------
        path
            An ``.ilp`` file.
        resources
            Threads and memory; by default those of the machine.
        folder
            Where images are looked for by their names if they are not where the project says.
        allow_servers
            Whether images on servers are requested that the project names.
        allow_misses
            Whether images that cannot be opened are left out, and their labels with them (a warning names them).

        Raises
        ------
        ObjclassError
            If the project cannot be opened, or one of its images; the message says what to do.
        """
        session = cls(resources=resources)
        given = os.fspath(folder) if folder is not None else None
        session._saved = open_saved(
            os.fspath(path),
            session._context(),
            folder=given,
            allow_servers=allow_servers,
            allow_misses=allow_misses,
        )
        session.state = session._saved.state
        return session

    @property
    def path(self) -> str | None:
        """The file that was opened or saved last; None if there is none."""
        return self._saved.path if self._saved is not None else None

    @property
    def is_modified(self) -> bool:
        """Whether images, labels, classes or settings were changed since the project was opened or saved."""
        if self._saved is not None:
            return not self._saved.holds(self.state)
        return bool(self.state.images or self.classes)

    @door()
    def save(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        stop: Stop | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write a project that objclass runs without a window, and that ilastik opens.

        All that is not known yet is computed first. Another thread may call it, while this one changes the session: what
        is changed in the meantime is not saved.

        Files are named relative to the project, arrays are stored inside of it. Of a project that was opened, all other
        content is kept.

        Parameters
        ----------
        path
            With the suffix ``.ilp``; by default the file that was opened or saved last, which is replaced.
        overwrite
            Whether an existing file may be replaced.
        stop
            Asks the work to end.
        progress
            Called with the name of an image and its completed fraction.

        Raises
        ------
        UsageError
            If there are no images or classes, or no path is known.
        ObjclassError
            If objects cannot be measured, or the file cannot be written.
        """
        if path is None and self.path is None:
            message = "The project has no file yet: choose a name that ends in .ilp."
            raise UsageError(message)
        target = os.path.abspath(path if path is not None else str(self.path))
        writer_for(target)
        inputs = [file for image in self.state.images for file in image.files]
        check_output(f"project {target}", target, inputs, overwrite=overwrite or path is None)
        with self._lock:
            worked = Session.of(self.state, self.resources)
            self._being_saved = SavedProject.of(target, self.state)
        for finding in worked.work(stop=stop, progress=progress):
            worked.accept(finding)
        save_state(worked.state, target, self._saved, self._context(stop))
        with self._lock:
            self._saved, self._being_saved = self._being_saved, None

    # ----------------------------------------------------------------- results

    @door()
    def export(self, outputs: Outputs, *, stop: Stop | None = None, progress: Progress | None = None) -> None:
        """Write results as the command line writes them: its run of the saved project. Existing files are replaced.

        Another thread may call it.

        Parameters
        ----------
        outputs
            What to write.
        stop
            Asks the run to end.
        progress
            Called with the name of an image and its completed fraction.

        Raises
        ------
        UsageError
            If the project is not saved as it is.
        ObjclassError
            If results cannot be written.
        """
        export(self._request(outputs), stop, progress)

    @door()
    def command(self, outputs: Outputs) -> str:
        """The command line that writes the same results without a window, to be pasted into a shell.

        Raises
        ------
        UsageError
            If the project is not saved as it is, or images have axes that no command line gives.
        """
        return command_of(self._request(outputs))

    def _request(self, outputs: Outputs) -> Request:
        if self._saved is None or self.is_modified:
            message = "The project has changes that are not saved: save it first."
            raise UsageError(message)
        return request_of(self._saved, outputs, self.resources, self._context())

    # ------------------------------------------------------------------ images

    @door(input_axes="axes= or raw_axes=", raw_data="raw=", segmentation_image="segmentation=")
    def add_image(
        self,
        raw: Any,
        segmentation: Any = None,
        *,
        prediction_maps: Any = None,
        label_image: Any = None,
        raw_axes: str | None = None,
        axes: str | None = None,
        name: str = "",
    ) -> int:
        """Add an image; return its key.

        Parameters
        ----------
        raw
            Raw data: an array, an image of `open_image`, or a path.
        segmentation, prediction_maps, label_image
            The image that defines the objects: one of them, given in the same ways; none where the project that was opened
            classifies pixels, too.
        raw_axes, axes
            Axes of raw data and of the second image, such as ``"zyxc"``; by default those that they have.
        name
            Name of the image, for windows and messages.

        Raises
        ------
        ObjclassError
            If an image cannot be used, or images do not fit each other.
        """
        given = dict(zip(OBJECT_ROLES, (segmentation, prediction_maps, label_image), strict=True))
        roles = [role for role, image in given.items() if image is not None]
        if self._pixels is not None and roles:
            message = f"{self._pixels.path} classifies pixels, too, and finds the objects itself: give raw data alone"
            raise UsageError(message)
        if self._pixels is None and len(roles) != 1:
            message = (
                f"{' and '.join(f'--{role}' for role in roles) or 'no objects'}: expected one image that defines the objects, "
                "segmentation=, prediction_maps= or label_image="
            )
            raise UsageError(message)
        if self._pixels is not None:
            return self._add_raw(self._pixels, given_image(raw, raw_axes, "raw", "raw_data"), name)
        context = self._context()
        objects = given_image(given[roles[0]], axes, roles[0], roles[0], context=context)
        lane = Lane(given_raw(raw, raw_axes, "raw", objects, context=context), objects, roles[0], name, "")
        return self._add(lane)

    @property
    def _pixels(self) -> Project | None:
        """The project that was opened, if it classifies pixels, too."""
        opened = self.state.opened
        return opened.project if opened is not None and opened.project.pixels is not None else None

    def _add_raw(self, project: Project, raw: Image, name: str) -> int:
        assert project.pixels is not None
        maps = computed(project.pixels, raw, None, None, project, self._context())
        return self._add(Lane(raw, maps, project.role, name, ""))

    def _add(self, lane: Lane) -> int:
        for image in self.state.images[:1]:
            _check_like(lane, image.lane)
        state = self.state
        if not state.images and state.opened is not None:
            check_fits(lane, state.opened.project)
        image = new_image(state, lane)
        self._become(images=(*state.images, image), added=state.added + 1)
        return image.key

    def remove_image(self, key: int) -> None:
        """Remove an image with its labels; this cannot be undone."""
        self.state.check_image(key)
        state = self.state
        self._become(
            images=tuple(image for image in state.images if image.key != key),
            found={k: one for k, one in state.found.items() if k != key},
            measured={k: one for k, one in state.measured.items() if k != key},
            history=state.history.without_image(key),
        )

    # ---------------------------------------------------------------- settings

    def set_threshold(self, threshold: ProjectThreshold) -> None:
        """Threshold prediction maps in another way; labels stay with objects that keep more than half of their voxels."""
        settings = replace(self.state.settings, threshold=threshold)
        if settings == self.state.settings:
            return
        known = self.state.is_thresholded
        self._become(
            settings=settings,
            found={} if known else self.state.found,
            measured={} if known else self.state.measured,
        )

    def set_features(self, features: Iterable[str], margin: int | None = None) -> None:
        """Learn from other features; those that were measured are kept.

        Parameters
        ----------
        features
            Feature sets, or features as ``set:feature``.
        margin
            Width of the neighbourhood in pixels; by default as before.

        Raises
        ------
        UsageError
            If a feature is unknown, or not defined for the images.
        """
        given = self.state.settings.margin if margin is None else margin
        wanted = replace(
            self.state, settings=replace(self.state.settings, features=tuple(features), margin=given)
        )
        if wanted.images and (fault := wanted.feature_fault):
            raise UsageError(fault)
        self._become(settings=wanted.settings)

    @door()
    def set_forest(self, trees: int, seed: int) -> None:
        """Grow another number of trees, or with another random state."""
        self._become(settings=replace(self.state.settings, trees=trees, seed=seed))

    # ----------------------------------------------------------------- classes

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The classes 1, 2 …"""
        return self.state.labelling.classes

    def add_class(self, name: str = "", color: Color | None = None) -> int:
        """Add a class; return its number."""
        self._change(self.state.labelling.with_class(name, color))
        return len(self.classes)

    def rename_class(self, number: int, name: str) -> None:
        """Rename a class."""
        self._change(self.state.labelling.renamed(number, name))

    def recolor_class(self, number: int, color: Color) -> None:
        """Give a class another colour."""
        self._change(self.state.labelling.recolored(number, color))

    def remove_class(self, number: int) -> None:
        """Remove a class with its labels."""
        self._change(self.state.labelling.without_class(number))

    # ------------------------------------------------------------------ labels

    def label(self, key: int, objects: Iterable[int], number: int, *, continued: bool = False) -> None:
        """Give objects of an image a class.

        Parameters
        ----------
        key
            The image.
        objects
            Numbers of the objects: the values of their voxels in `FoundObjects.numbers`.
        number
            The class, from 1; 0 takes their labels away.
        continued
            Whether `undo` takes it back together with the change before.
        """
        self.state.check_image(key)
        found = self.state.found.get(key)
        if found is None:
            message = "The objects are not found yet: label them when they are."
            raise UsageError(message)
        if number:
            self.state.labelling.check_class(number)
        labels = self.state.labels(key)
        wanted = [one for one in dict.fromkeys(objects) if 1 <= one <= found.count]
        changed = [
            one
            for one in wanted
            if labels.classes.get(one, 0) != number or (number == 0 and one in labels.marks)
        ]
        if not changed:
            return
        replaced = [mark for one in changed for mark in labels.marks.get(one, ())]
        new = [found.mark(one, number) for one in changed] if number else []
        self._change(self.state.labelling.with_marks(new, replaced), continued=continued)

    def labels(self, key: int) -> Labels:
        """The labels of the objects of an image."""
        return self.state.labels(key)

    @property
    def lost(self) -> int:
        """Number of labels without an object at the present thresholds; they are kept, and come back with it."""
        return self.state.lost

    def undo(self) -> None:
        """Take the last change of labels or classes back."""
        self._become(history=self.state.history.undone())

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self._become(history=self.state.history.redone())

    def _change(self, labelling: Labelling, *, continued: bool = False) -> None:
        self._become(history=self.state.history.changed(labelling, continued=continued))

    def _become(self, **changes: Any) -> None:
        """Change the state; forget a classification that does not fit it."""
        before = self.state
        if all(getattr(before, name) is value for name, value in changes.items()):
            return
        state = replace(before, **changes)
        same_classes = len(state.labelling.classes) == len(before.labelling.classes)
        if state.obstacle is not None or not same_classes:
            state = replace(state, classification=None, judgement=None)
        self.state = state.renamed

    # -------------------------------------------------------------------- work

    @door()
    def update(self) -> None:
        """Find, measure and classify all objects as far as that is not done."""
        for finding in self.work():
            self.accept(finding)
        if self.state.classification is not None:
            _ = self.state.classification.novelty  # from now on it is known

    def work(
        self,
        *,
        stop: Stop | None = None,
        progress: Progress | None = None,
        classifies: bool = True,
    ) -> Generator[Finding, None, None]:
        """Find out what the present state does not know yet; another thread may do it. `accept` takes what it finds.

        Parameters
        ----------
        stop
            Asks the work to end.
        progress
            Called with the name of an image and its completed fraction.
        classifies
            Whether objects are classified, too.
        """
        return work(self.state, self._context(stop, progress), classifies=classifies)

    def accept(self, finding: Finding) -> bool:
        """Take what was found; return False if it belongs to a state that is past."""
        state = self.state
        if isinstance(finding, Classification):
            is_current = finding.labelling.classes == state.labelling.classes and state.obstacle is None
            if is_current:
                self._become(classification=finding)
            return is_current
        if isinstance(finding, Judgement):
            if state.classification is not None:
                self._become(judgement=finding)
            return state.classification is not None
        found = finding.found if isinstance(finding, MeasuredObjects) else finding
        if found.image not in state.images:
            return False
        new = state.with_objects(finding)
        with self._lock:
            if isinstance(finding, FoundObjects):
                self._saved, self._being_saved = (
                    one.located(found) if one is not None else None
                    for one in (self._saved, self._being_saved)
                )
            self._become(history=new.history, opened=new.opened, found=new.found, measured=new.measured)
        return new.found is not state.found or new.measured is not state.measured

    def predictions(self, key: int) -> Predictions | None:
        """Predictions of the objects of an image, in the order of their numbers; None if there are none yet."""
        return self.state.predictions(key)

    def uncertain(self, count: int) -> list[tuple[int, int]]:
        """The objects to label next, the most useful one first: keys of their images and their numbers.

        They have no labels; of the most uncertain ones, they are unlike each other.

        Parameters
        ----------
        count
            Maximum number of objects; there are none as long as objects are not classified.
        """
        return uncertain_objects(self.state.classification, self.state.found, self.state.labelling, count)

    def evaluate(self, stop: Stop | None = None) -> EvaluationResult:
        """Say how good the present classifier is: by cross-validation, as the command line does.

        Raises
        ------
        UsageError, InputError
            If the objects are not classified yet, or there are too few labels.
        """
        judgement = self.judge(stop)
        if judgement.result is None:
            raise InputError(judgement.refusal)
        return judgement.result

    def judge(self, stop: Stop | None = None) -> Judgement:
        """Find out how good the present classifier is, or why that cannot be said. `accept` takes it.

        Raises
        ------
        UsageError
            If the objects are not classified yet.
        """
        last = self.state.classification
        if last is None:
            raise UsageError(self.state.obstacle or "The objects are not classified yet.")
        context = self._context(stop)
        # one thread: several would hold Python's lock in turn, and a window would wait for all of them
        return judged(last, context.within(replace(context.limits, jobs=1)))

    def _context(self, stop: Stop | None = None, progress: Progress | None = None) -> Context:
        return Context.of(self.resources, stop=stop, progress=progress)


def _check_like(lane: Lane, first: Lane) -> None:
    """Refuse an image that a project could not hold together with the first one."""
    own, expected = ((one.role, one.objects.ndim, one.channels) for one in (lane, first))
    if own != expected:
        described = [
            f"{role.replace('_', ' ')} in {ndim}D with {channels} channels of raw data"
            for role, ndim, channels in (own, expected)
        ]
        message = (
            f"{lane.objects.name}: {described[0]}: expected the like of the other images: {described[1]}"
        )
        raise ImageError(message)
