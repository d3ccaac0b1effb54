"""A random forest trained on a table of measured objects, in the conventions of scikit-learn."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from objclass.compute.context import Context
from objclass.core import AnyArray, IntArray, Predictions
from objclass.door import door
from objclass.errors import InputError, UsageError, listed
from objclass.evaluation.measurements import kinds_of, training_table
from objclass.evaluation.selection import choose_features
from objclass.evaluation.settings import EvaluationSettings
from objclass.features.contract import AUTO, Key
from objclass.forest import fit
from objclass.project.model import MAXIMUM_CLASSES, MISSING_VALUE, Project, find
from objclass.project.training_table import TrainingTable
from objclass.settings import CLASS_WEIGHTS
from objclass.training.labels.classes import check_formulas
from objclass.training.measurement import Measurement
from objclass.training.new_project import new_project
from objclass.training.novelty_of import novelty_of
from objclass.training.provenance import training_facts

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger("objclass")


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A random forest for objects, with the methods of scikit-learn's classifiers.

    Values that are not finite are replaced by 0, as in a project.

    Parameters
    ----------
    trees
        Number of trees.
    seed
        Random state: the same table and seed result in the same forest.
    features
        Columns to learn from. By default the features that `objclass.measure` or `objclass.predict` put into
        the table, without those of location (centres, boxes); in other tables all numeric columns except ids,
        positions, probabilities and the classes themselves (a warning lists them). ``"auto"``: those of them that help to distinguish the classes.
    class_weight
        ``"balanced"``: objects of rare classes count more, so that each class counts the same. None: each object
        counts the same.

    Attributes
    ----------
    classes_
        The classes, sorted.
    feature_names_in_
        The columns that the forest uses, in its order.
    accuracy_
        Out-of-bag accuracy: each object is predicted by the trees that were not trained on it.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"label": [1, 2, 3, 4], "area": [10.0, 11, 90, 95]})
    >>> classifier = Classifier(trees=10).fit(table, ["small", "small", "large", "large"])
    >>> classifier.predict(table).tolist()
    ['small', 'small', 'large', 'large']
    """

    def __init__(
        self,
        *,
        trees: int = 100,
        seed: int = 0,
        features: Sequence[str] | None = None,
        class_weight: str | None = None,
    ) -> None:
        self.trees = trees
        self.seed = seed
        self.features = features
        self.class_weight = class_weight

    @door()
    def fit(self, table: Any, classes: Any) -> "Classifier":
        """Train the forest on a table.

        Parameters
        ----------
        table
            pandas.DataFrame with a row for each object, or an array (objects, features).
        classes
            The class of each row. Rows whose class is None, NaN or empty are not used. Or a mapping
            from the value in the column ``label`` to the class.

        Raises
        ------
        InputError
            If there are fewer than two classes, or they do not match the rows.
        UsageError
            If a column is missing, or not numeric, or holds the classes, or the class weight is unknown.
        """
        lesson = self.lesson(table, classes)
        if self.chooses_features:
            lesson = lesson.of_columns(self.choose(lesson.table, lesson.features, Context()))
        self.classes_ = lesson.names
        self._measurement = Measurement.of(lesson.frame)
        self._keys = list(lesson.keys)
        self._training = lesson.table if lesson.keys else None
        self.feature_names_in_ = np.array(lesson.columns, object)
        self.n_features_in_ = len(lesson.columns)
        self.forest_, self.accuracy_ = fit(
            lesson.rows,
            lesson.classes,
            len(self.classes_),
            self.trees,
            self.seed,
            balanced=self.class_weight == "balanced",
        )
        return self

    @property
    def chooses_features(self) -> bool:
        """Whether it learns from those columns only that help to distinguish the classes."""
        return self.features == AUTO

    def choose(self, table: TrainingTable, features: Sequence[Key], context: Context) -> tuple[int, ...]:
        """Places of the columns to learn from.

        Parameters
        ----------
        table
            The labelled rows.
        features
            The feature of each column.
        context
            The context of the run; the choice does not depend on it.
        """
        settings = EvaluationSettings(self.trees, self.seed, balanced=self.class_weight == "balanced")
        return choose_features(table, features, settings, context).columns

    def lesson(self, table: Any, classes: Any, groups: str | None = None) -> "Lesson":
        """What `fit` learns from a table; it raises the same errors.

        Parameters
        ----------
        groups
            The column with what rows are held out with, if there is one.
        """
        if self.class_weight not in (None, *CLASS_WEIGHTS):
            message = (
                f"class_weight={self.class_weight!r}: expected None or {', '.join(map(repr, CLASS_WEIGHTS))}"
            )
            raise UsageError(message)
        frame = frame_of(table)
        given = _classes_of(frame, classes, is_indexed=_is_frame(table))
        labelled = np.array([not _is_empty(name) for name in given], bool)
        names = _sorted_classes(given[labelled])
        numbers = {name: k for k, name in enumerate(names.tolist(), 1)}
        targets = np.array([numbers[name] for name in given[labelled].tolist()], int)
        kinds = {}
        if _is_frame(table):  # columns of an array have no names: all of them are meant
            used = {groups, str(getattr(classes, "name", None))}
            kinds = kinds_of(_numbers(frame[labelled]), used, targets)
        known, columns = self._columns(frame, kinds)
        _check_distinct(frame[labelled], columns, given[labelled])
        of = {column: key for key, of_one in known.items() for column in of_one}
        features = tuple(of.get(column, ("", column)) for column in columns)
        rows = _rows(frame, columns)[labelled]
        return Lesson(frame, labelled, rows, targets, names, tuple(known), tuple(columns), features)

    @door()
    def predict(self, table: Any) -> AnyArray:
        """The most probable class of each row; of several equally probable ones the first."""
        classes = self._predictions(table).classes
        return self.classes_[classes - 1]

    @door()
    def predict_proba(self, table: Any) -> NDArray[np.float32]:
        """Probability of each of `classes_` (columns) for each row."""
        return self._predictions(table).probabilities

    def _predictions(self, table: Any) -> Predictions:
        """Class probabilities of each row.

        Raises
        ------
        NotFittedError
            If the classifier is not trained yet.
        UsageError
            If the table lacks a column, or an array has another number of columns than that of the training.
        """
        check_is_fitted(self)
        frame = frame_of(table)
        if not _is_frame(table) and frame.shape[1] != self.n_features_in_:
            message = f"X has {frame.shape[1]} features, but Classifier is expecting {self.n_features_in_} features as input"
            raise UsageError(message)
        return self.forest_.predict(_rows(frame, list(self.feature_names_in_)))

    def __sklearn_tags__(self) -> Any:
        """Values that are not finite are accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @door()
    def project(self, role: str = "label_image") -> Project:
        """The classifier as a project, which measures the features that it needs.

        Parameters
        ----------
        role
            Role of the input of the project besides raw data: ``label_image`` or ``segmentation_image``.

        Raises
        ------
        InputError
            If it uses a column that a project cannot measure, or a class has an unsuitable name.
        """
        check_is_fitted(self)
        found = self._measurement
        if found is None or not self._keys:
            message = (
                "no project can measure these columns: expected a table of objclass.measure or "
                "objclass.predict, and no columns of others in features="
            )
            raise InputError(message)
        if any(length != 1 for length in found.spacing):
            message = f"measured with spacing {tuple(found.spacing)}: projects measure in pixels: leave spacing= out"
            raise InputError(message)
        if role not in ("label_image", "segmentation_image"):
            message = f"role '{role}': expected label_image or segmentation_image"
            raise UsageError(message)
        classes = tuple(str(name) for name in self.classes_)
        check_formulas(("classes", name) for name in classes)
        around = any(feature.scope != "object" for key in self._keys if (feature := find(*key)))
        margin = tuple(found.margin) if around else ()
        project = new_project(role, classes, tuple(self._keys), margin, self.forest_)
        table = replace(self._training, names=classes) if self._training is not None else None
        return replace(
            project,
            training=table,
            facts=training_facts(self.trees, self.seed, self.class_weight, float(self.accuracy_))
            | ({"features": AUTO} if self.chooses_features else {}),
            novelty=novelty_of(table, self.forest_) if table is not None else None,
        )

    @door()
    def save(
        self, path: str | os.PathLike[str], *, role: str = "label_image", overwrite: bool = False
    ) -> None:
        """Write the classifier as a project, for Python, the command line and ilastik.

        Parameters
        ----------
        path
            The file to write, with the suffix ``.ilp``.
        role
            As in `project`.
        overwrite
            Whether an existing file may be replaced.
        """
        self.project(role).save(path, overwrite=overwrite)

    def _columns(
        self, frame: "DataFrame", kinds: Mapping[str, str]
    ) -> tuple[Mapping[Key, list[str]], list[str]]:
        """Columns of each feature, none if these are unknown, and the columns to learn from.

        ``kinds``: what numeric columns hold that is no feature, ``""`` for features.
        """
        columns = [str(name) for name in frame.columns]
        measurement = Measurement.of(frame)
        known = measurement.learnable(columns) if measurement is not None else {}
        if self.features is None or self.chooses_features:
            names = [name for of_one in known.values() for name in of_one]
            return known, names or _measured(frame, kinds)
        wanted = [self.features] if isinstance(self.features, str) else list(dict.fromkeys(self.features))
        chosen = {key: names for key, names in known.items() if set(names) <= set(wanted)}
        names = [name for of_one in chosen.values() for name in of_one]
        return (chosen, names) if set(names) == set(wanted) else ({}, wanted)


@dataclass(frozen=True)
class Lesson:
    """What a classifier learns from a table.

    Parameters
    ----------
    frame, labelled
        The table, and whether the class of each row is known (n,).
    rows, classes
        Values (labelled rows, columns), finite, and the class of each, from 1.
    names
        The classes, sorted.
    keys, columns
        Keys of the features, none if they are unknown; names of the columns.
    features
        The feature of each column; what is no feature of ours is one of the set ``""``.
    """

    frame: "DataFrame"
    labelled: NDArray[np.bool_]
    rows: NDArray[np.float32]
    classes: IntArray
    names: AnyArray
    keys: tuple[Key, ...]
    columns: tuple[str, ...]
    features: tuple[Key, ...]

    @property
    def sets(self) -> tuple[str, ...]:
        """The feature set of each column, ``""`` if it is unknown."""
        return tuple(name for name, _ in self.features)

    def of_columns(self, kept: Sequence[int]) -> "Lesson":
        """The same objects with some of the columns, by their places; of a feature all or none."""
        features = tuple(self.features[k] for k in kept)
        return replace(
            self,
            rows=self.rows[:, list(kept)],
            keys=tuple(key for key in self.keys if key in features),
            columns=tuple(self.columns[k] for k in kept),
            features=features,
        )

    @property
    def table(self) -> TrainingTable:
        """The labelled rows, with image, time step, id and position as far as the table has them."""
        columns = {str(name): self.frame[name].to_numpy()[self.labelled] for name in self.frame.columns}
        names = [str(name) for name in self.names]
        return training_table(columns, self.rows, self.classes, names, self.columns, sets=self.sets)


def _rows(frame: "DataFrame", columns: Sequence[str]) -> NDArray[np.float32]:
    """Columns of a table, float32, finite."""
    names = list(columns)
    missing = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if missing:
        message = f"the table has no column {', '.join(missing[:5])}: measure the same features"
        raise UsageError(message)
    try:
        rows = frame[names].to_numpy(np.float32, na_value=np.nan)
    except (TypeError, ValueError) as fault:
        message = f"columns {', '.join(names[:5])} …: expected numbers: {fault}"
        raise UsageError(message) from None
    return np.where(np.isfinite(rows), rows, np.float32(MISSING_VALUE))


def _is_frame(table: Any) -> bool:
    """Whether it is a table, with names of columns and an index."""
    from pandas import DataFrame

    return isinstance(table, DataFrame)


def frame_of(table: Any) -> "DataFrame":
    """The table, or the columns of an array as ``x0``, ``x1`` …; float64 where they are numbers in Python objects.

    Raises
    ------
    UsageError
        If it is neither, or its numbers are complex.
    """
    from pandas import DataFrame

    if _is_frame(table):
        names = [str(name) for name in table.columns]
        return table if names == list(table.columns) else table.set_axis(names, axis=1)
    if issparse(table):
        message = "sparse data: expected a dense array, table.toarray()"
        raise UsageError(message)
    rows = np.asarray(table)
    if rows.ndim != 2:
        message = (
            f"table of shape {rows.shape}: expected a pandas.DataFrame, or an array (objects, features). "
            "Reshape your data"
        )
        raise UsageError(message)
    if np.iscomplexobj(rows):
        message = "Complex data not supported: expected real numbers"
        raise UsageError(message)
    if rows.dtype == object:
        try:
            rows = rows.astype(np.float64)
        except (TypeError, ValueError) as fault:
            message = f"an array of {type(rows.flat[0]).__name__}: expected numbers: {fault}"
            raise UsageError(message) from None
    return DataFrame(rows, columns=[f"x{k}" for k in range(rows.shape[1])])


def _numbers(frame: "DataFrame") -> dict[str, AnyArray]:
    """Numeric columns -> their values, NaN where one is missing."""
    numbers = frame.select_dtypes(["number", "bool"])
    return {str(name): values.to_numpy(float, na_value=np.nan) for name, values in numbers.items()}


def _measured(frame: "DataFrame", kinds: Mapping[str, str]) -> list[str]:
    """The numeric columns that are features; a warning lists the others."""
    numbers = [str(name) for name in frame.select_dtypes(["number", "bool"]).columns]
    left_out = [f"{name} ({kind})" for name, kind in kinds.items() if kind]
    names = [name for name in numbers if not kinds.get(name)]
    if not names:
        message = (
            f"columns {listed(frame.columns, 12)}: expected features other than ids, positions, probabilities and classes: "
            "name them in features="
        )
        raise InputError(message)
    if left_out:
        log.warning("not learnt from: %s: features= names the columns to learn from", listed(left_out, 12))
    return names


def _check_distinct(frame: "DataFrame", columns: Sequence[str], classes: AnyArray) -> None:
    """Refuse to learn from the classes themselves.

    Raises
    ------
    UsageError
        If a column has the class of each row.
    """
    for name, values in frame.items():
        if name in columns and values.tolist() == classes.tolist():
            message = f"--features {name!r}: it holds the classes: expected measurements"
            raise UsageError(message)


def _classes_of(frame: "DataFrame", classes: Any, *, is_indexed: bool) -> AnyArray:
    """The class of each row.

    Raises
    ------
    InputError
        If their number is not that of the rows, or a mapping does not fit the labels.
    """
    from pandas import Series

    if classes is None:
        message = "requires y to be passed, but the target y is None: expected the class of each row"
        raise UsageError(message)
    if isinstance(classes, Mapping):
        return _classes_by_label(frame, classes)
    if is_indexed and isinstance(classes, Series) and not classes.index.equals(frame.index):
        message = "classes= has another index than the table: expected one class for each of its rows"
        raise InputError(message)
    given = np.asarray(classes, object)
    given = given.ravel() if given.ndim == 2 and given.shape[1] == 1 else given  # a column
    if given.shape != (len(frame),):
        message = f"{len(given)} classes for {len(frame)} rows: expected one for each"
        raise InputError(message)
    return given


def _classes_by_label(frame: "DataFrame", classes: Mapping[Any, Any]) -> AnyArray:
    if "label" not in frame.columns or frame["label"].duplicated().any():
        message = "classes by label: expected a table with a column label whose values are all different"
        raise InputError(message)
    labels = frame["label"].tolist()
    unknown = [label for label in classes if label not in set(labels)]
    if unknown:
        message = f"classes of label {', '.join(map(str, unknown[:5]))}: the table has no such object"
        raise InputError(message)
    return np.array([classes.get(label) for label in labels], object)


def _is_empty(name: Any) -> bool:
    return name is None or name != name or (isinstance(name, str) and not name.strip())  # noqa: PLR0124 (NaN)


def _sorted_classes(given: AnyArray) -> AnyArray:
    """All different classes, sorted.

    Raises
    ------
    InputError
        If there are fewer than two, more than fit into a class image, or both numbers and texts.
    """
    try:
        found = np.unique(given)
    except TypeError:
        message = "classes= has both numbers and texts: expected only one kind"
        raise InputError(message) from None
    if any(isinstance(name, float) and not name.is_integer() for name in found.tolist()):
        message = f"classes are continuous numbers such as {found[0]}: expected names or whole numbers"
        raise InputError(message)
    if len(found) < 2:
        message = f"labels of {len(found)} classes: expected labelled objects of at least two classes"
        raise InputError(message)
    if len(found) > MAXIMUM_CLASSES:
        message = f"{len(found)} classes: expected at most {MAXIMUM_CLASSES} (are they ids?)"
        raise InputError(message)
    return np.array(found.tolist())
