"""The state of a session, and the work that follows from it. A state never changes, so that other threads may work on it."""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from objclass.compute.context import Context
from objclass.core import IntArray, Predictions
from objclass.errors import LaneError, ObjclassError, UsageError, listed
from objclass.features.contract import Feature, choose, feature_set
from objclass.forest import check_growth
from objclass.pipeline.lane import CENTER
from objclass.project.model import Project
from objclass.session.classification import CLICKS, Basis, Classification, classified
from objclass.session.images import FoundObjects, MeasuredObjects, SessionImage, measured, objects_of
from objclass.session.judgement import Judgement
from objclass.session.labelling import History, Labelling, Labels, StoredObject
from objclass.settings import METHODS, ProjectThreshold

Finding = FoundObjects | MeasuredObjects | Classification | Judgement
"""What work finds, in this order."""


@dataclass(frozen=True)
class SessionSettings:
    """How objects are found, measured and classified.

    Parameters
    ----------
    features
        Feature sets, or features as ``set:feature``.
    margin
        Width of the neighbourhood in pixels, along each axis.
    trees, seed
        Number of trees and random state.
    threshold
        How prediction maps are thresholded.
    class_weight
        ``"balanced"``: objects of rare classes count more; None: each object counts the same.
    """

    features: tuple[str, ...] = ("Standard Object Features",)
    margin: int = 30
    trees: int = 100
    seed: int = 0
    threshold: ProjectThreshold = field(default_factory=ProjectThreshold)
    class_weight: str | None = None

    def __post_init__(self) -> None:
        if self.margin < 1:
            message = f"margin {self.margin}: expected at least 1 pixel"
            raise UsageError(message)
        check_growth(self.trees, self.seed)


@dataclass(frozen=True, eq=False)
class Opened:
    """A project that was opened: as long as labels and settings are as it has them, its own forest classifies.

    Parameters
    ----------
    project
        The project.
    labelling
        Its labels.
    settings
        Its settings.
    """

    project: Project
    labelling: Labelling
    settings: SessionSettings


@dataclass(frozen=True, eq=False)
class State:
    """All that a session knows.

    Parameters
    ----------
    settings
        How objects are found, measured and classified.
    images
        The images; all have the same role, dimensions and channels.
    history
        The labels, with earlier ones.
    found, measured
        The objects of images and their features, by the key of the image, as far as they are known for the settings.
    classification
        The last one; it may be of earlier labels.
    judgement
        The last one; it may be of an earlier classification.
    opened
        The project that was opened, if one was.
    added
        Number of images that were ever added: the key of the next one, so that no key is used again.
    """

    settings: SessionSettings = field(default_factory=SessionSettings)
    images: tuple[SessionImage, ...] = ()
    history: History = field(default_factory=History)
    found: Mapping[int, FoundObjects] = field(default_factory=dict)
    measured: Mapping[int, MeasuredObjects] = field(default_factory=dict)
    classification: Classification | None = None
    judgement: Judgement | None = None
    opened: Opened | None = None
    added: int = 0

    @property
    def labelling(self) -> Labelling:
        """The labels."""
        return self.history.now

    @property
    def is_thresholded(self) -> bool:
        """Whether thresholds say what the objects are."""
        return any(image.lane.role == "prediction_maps" for image in self.images)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of thresholding to choose from: those of new projects, and the present one."""
        return tuple(dict.fromkeys((*METHODS, self.settings.threshold.method)))

    def fits(self, found: FoundObjects) -> bool:
        """Whether objects are those of the present thresholds."""
        return not self.is_thresholded or found.threshold == self.settings.threshold

    @cached_property
    def is_as_opened(self) -> bool:
        """Whether labels and settings are those of the project that was opened, and it has a forest."""
        opened = self.opened
        return (
            opened is not None
            and opened.project.forest is not None
            and self.settings == opened.settings
            and self.labelling.marks == opened.labelling.marks
            and len(self.labelling.classes) == len(opened.labelling.classes)
        )

    def awaits(self, key: int) -> ProjectThreshold | None:
        """The thresholds of the objects to which labels of an image were given, if these are not found yet."""
        marks = self.opened.labelling.by_image.get(key, ()) if self.opened is not None else ()
        is_open = any(isinstance(mark.footprint, StoredObject) for mark in marks)
        return self.opened.settings.threshold if self.opened is not None and is_open else None

    def located(self, found: FoundObjects) -> "State":
        """With the labels of the project at the objects of an image, if these are those that were labelled."""
        awaited = self.awaits(found.image.key)
        if self.opened is None or awaited is None or (self.is_thresholded and found.threshold != awaited):
            return self
        places = found.located(self.opened.labelling)
        opened = replace(self.opened, labelling=self.opened.labelling.located(places))
        return replace(self, history=self.history.located(places), opened=opened)

    def with_objects(self, finding: FoundObjects | MeasuredObjects) -> "State":
        """With the objects of an image, or their features; the same if these are not of the present thresholds."""
        if isinstance(finding, FoundObjects):
            located = self.located(finding)
            key = finding.image.key
            return replace(located, found={**self.found, key: finding}) if self.fits(finding) else located
        key, found = finding.found.image.key, finding.found
        is_present = self.fits(found) and self.found.get(key) is found
        return replace(self, measured={**self.measured, key: finding}) if is_present else self

    def check_image(self, key: int) -> None:
        """Refuse a key of no image.

        Raises
        ------
        UsageError
            If there is no such image.
        """
        keys = [image.key for image in self.images]
        if key not in keys:
            message = f"image {key}: expected the key of an image, of {listed(map(str, keys))}"
            raise UsageError(message)

    def labels(self, key: int) -> Labels:
        """The labels of the objects of an image, as far as these are found."""
        found = self.found.get(key)
        return found.labels(self.labelling) if found is not None else Labels()

    def predictions(self, key: int) -> Predictions | None:
        """Predictions of the objects of an image, in the order of their numbers; None if there are none yet."""
        last, found = self.classification, self.found.get(key)
        if last is None or found is None or key not in last.measured or last.measured[key].found is not found:
            return None
        return last.predictions[key]

    @property
    def feature_fault(self) -> str | None:
        """Why the features cannot be measured, as a sentence; None if they can be. There are images."""
        try:
            return None if self.features else "No features: choose some."
        except UsageError as fault:
            return str(fault)

    @cached_property
    def features(self) -> list[Feature]:
        """The features to learn from.

        Raises
        ------
        UsageError
            If one is unknown, or is not defined for the images.
        """
        first = self.images[0].lane
        return list(choose(self.settings.features, first.objects.ndim, first.channels, training=True))

    @property
    def margin(self) -> tuple[int, ...]:
        """The neighbourhood along x, y(, z); empty if no feature needs one."""
        around = any(feature.scope != "object" for feature in self.features)
        opened = self.opened
        if around and opened is not None and self.settings.margin == opened.settings.margin:
            return opened.project.margin or (self.settings.margin,) * self.images[0].lane.objects.ndim
        return (self.settings.margin,) * self.images[0].lane.objects.ndim if around else ()

    @property
    def basis(self) -> Basis | None:
        """What the present classification follows from; None as long as objects are not measured."""
        objects = [self.measured.get(image.key) for image in self.images]
        known = tuple(one for one in objects if one and not one.lacks(self.features, self.margin))
        if len(known) < len(objects) or not objects:
            return None
        settings = self.settings
        return Basis(
            known,
            self.labelling,
            tuple(self.features),
            self.margin,
            settings.trees,
            settings.seed,
            settings.class_weight,
            self.opened.project if self.opened is not None else None,
            self.is_as_opened,
        )

    @property
    def is_classified(self) -> bool:
        """Whether the classification is of the present labels, objects and settings."""
        return self.classification is not None and self.classification.basis == self.basis

    @property
    def renamed(self) -> "State":
        """With names and colours of the present classes in the classification and the judgement."""
        last, judgement, classes = self.classification, self.judgement, self.labelling.classes
        if last is None:
            return self
        new = last.with_classes(classes)
        if judgement is not None:
            of = judgement.classification
            # of the same forest, even if it was judged under other names
            of = new if of.predictions is new.predictions else of.with_classes(classes)
            judgement = judgement if of is judgement.classification else judgement.renamed(of)
        if new is last and judgement is self.judgement:
            return self
        return replace(self, classification=new, judgement=judgement)

    @property
    def is_judged(self) -> bool:
        """Whether the judgement is of the present labels, objects and settings."""
        last = self.judgement
        return last is not None and last.classification is self.classification and self.is_classified

    def judged_objects(self, true: int, predicted: int) -> dict[int, IntArray]:
        """The objects of a cell of the confusion matrix, as `Judgement.objects` returns them, that are still there."""
        last = self.judgement
        if last is None:
            return {}
        found = {key: one.found for key, one in last.classification.measured.items()}
        cells = last.objects(true, predicted)
        return {key: numbers for key, numbers in cells.items() if self.found.get(key) is found[key]}

    @cached_property
    def obstacle(self) -> str | None:
        """Why objects cannot be classified: a sentence that says what to do; None if they can be."""
        if not self.images:
            return "No images: choose raw data and objects, or open a project."
        if fault := self.feature_fault:
            return fault
        if not self.labelling.classes:
            return "No classes: add two at least."
        if len(self.found) == len(self.images) and not any(found.count for found in self.found.values()):
            if self.is_thresholded:
                return "No objects: change the thresholds, or choose another image."
            names = ", ".join(image.lane.nickname for image in self.images)
            return f"No objects in {names}: choose another image."
        if self.is_as_opened:
            return None
        used = [one.name for one, n in zip(self.labelling.classes, self.label_counts, strict=True) if n]
        if not used:
            return "No labels yet: click on objects of each class."
        if len(used) == 1:
            return f"All labels are of the class {used[0]}: label objects of another class, too."
        return None

    @property
    def status(self) -> str:
        """A text for the user: what is in the way, and how many labels are lost; empty if all is well."""
        return " ".join(filter(None, [self.obstacle, self._loss]))

    @property
    def _loss(self) -> str:
        if not self.lost:
            return ""
        labels = "1 label is" if self.lost == 1 else f"{self.lost} labels are"
        return f"{labels} lost at these thresholds: objects have vanished, split, or merged with those of another class."

    @cached_property
    def lost(self) -> int:
        """Number of labels without an object, as far as objects are found."""
        return sum(len(self.labels(image.key).lost) for image in self.images)

    @cached_property
    def label_counts(self) -> list[int]:
        """Number of labelled objects of each class; of images whose objects are not found yet all labels count."""
        counts: Counter[int] = Counter()
        for image in self.images:
            if image.key in self.found:
                counts.update(self.labels(image.key).classes.values())
            else:
                counts.update(mark.number for mark in self.labelling.by_image.get(image.key, ()))
        return [counts[k] for k in range(1, len(self.labelling.classes) + 1)]


def work(state: State, context: Context, *, classifies: bool = True) -> Generator[Finding, None, None]:
    """Find out what a state does not know yet: objects, then their features, then their classes.

    Parameters
    ----------
    classifies
        Whether objects are classified, too.

    Raises
    ------
    ObjclassError
        If objects of an image cannot be found or measured; those of the images after it are, first.
    """
    faults: list[ObjclassError] = []
    for image in state.images:
        try:
            with _faults_of(image):
                for finding in _work_on(image, state, context):
                    state = state.with_objects(finding)
                    yield finding
        except ObjclassError as fault:
            faults.append(fault)
    if faults:
        raise faults[0] if len(faults) == 1 else LaneError(listed(map(str, faults), 3))
    if classifies and state.obstacle is None and not state.is_classified:
        assert state.basis is not None
        clicks = replace(context.limits, images=CLICKS * len(state.images))
        yield classified(state.basis, context.within(clicks))


def _work_on(
    image: SessionImage, state: State, context: Context
) -> Generator[FoundObjects | MeasuredObjects, None, None]:
    """Find and measure the objects of an image; those that were labelled first, if thresholds are others now."""
    awaited, threshold = state.awaits(image.key), state.settings.threshold
    if awaited is not None and state.is_thresholded and awaited != threshold:
        labelled = objects_of(image, awaited, context)
        state = state.with_objects(labelled)
        yield labelled
    found = state.found.get(image.key)
    if found is None:
        found = objects_of(image, threshold, context)
        # finds the labelled objects, which takes long for many
        found.labels(state.with_objects(found).labelling)
        yield found
    before = state.measured.get(image.key)
    after = measured(found, _with_center(state.features), state.margin, before, context)
    if after is not before:
        yield after


@contextmanager
def _faults_of(image: SessionImage) -> Generator[None, None, None]:
    """Name the image in errors."""
    try:
        yield
    except ObjclassError as fault:
        if image.name not in str(fault):
            fault.args = (f"{image.name}: {fault}",)
        raise
    except (OSError, MemoryError) as fault:
        message = f"{image.name}: {str(fault) or type(fault).__name__}"
        raise LaneError(message) from fault


def _with_center(features: Sequence[Feature]) -> list[Feature]:
    """The features, and the place of the object, which says what lies together."""
    own = (feature_set(CENTER[0]) or {}).values()
    return [*features, *(feature for feature in own if feature.key == CENTER)]
