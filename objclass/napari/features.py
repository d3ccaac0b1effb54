"""The panel Features: what is measured of objects."""

from collections.abc import KeysView
from collections.abc import Set as AbstractSet
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QSpinBox, QTreeWidget, QTreeWidgetItem, QWidget

from objclass.napari.controller import Controller
from objclass.napari.section import SPACING, column, row
from objclass.session.features import best_features, is_of_ilastik, names_of, offered_features, plain

Key = tuple[str, str]
"""Feature set, feature."""

CHECKED, PARTLY, UNCHECKED = Qt.CheckState.Checked, Qt.CheckState.PartiallyChecked, Qt.CheckState.Unchecked

HEIGHT = 170
"""Pixels of the tree."""


class FeaturesPanel(QWidget):
    """The features that classes are learned from; a button applies them, since measuring may take long."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.tree = QTreeWidget(headerHidden=True)
        self.tree.setFixedHeight(HEIGHT)
        self.margin = QSpinBox(
            minimum=1,
            maximum=10_000,
            suffix=" px",
            toolTip="Width of the neighbourhood that features look at around objects",
        )
        self.text = QLabel("Features are offered when there are images.", wordWrap=True)
        self.best = QPushButton(
            "Best",
            toolTip="Those that distinguish classes best on real images; ilastik does not have all of them",
        )
        self.measure = QPushButton("Use these features", toolTip="Measure them, and learn from them")
        self.around = QWidget()
        form = QFormLayout(self.around)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.addRow("Neighbourhood", self.margin)
        column(self.tree, self.around, self.text, row(self.best, self.measure), into=self)
        self.tree.itemChanged.connect(self._click)
        self.margin.valueChanged.connect(lambda _: self._follow())
        self.best.clicked.connect(self._choose_best)
        self.measure.clicked.connect(self._apply)
        controller.images_changed.connect(self._fill)
        controller.settings_changed.connect(self._check)
        self._offered: dict[str, Any] = {}
        self._fill()

    @property
    def _state(self) -> Any:
        return self.controller.session.state

    # -------------------------------------------------------------------- show

    def _fill(self) -> None:
        """Offer the features that are defined for the images."""
        images = self._state.images
        offered = offered_features(images[0].lane, self._state.settings.features) if images else {}
        if {name: len(known) for name, known in offered.items()} != {
            name: len(known) for name, known in self._offered.items()
        }:
            self._offered = offered
            with QSignalBlocker(self.tree):
                self.tree.clear()
                for name, features in offered.items():
                    self.tree.addTopLevelItem(_branch(name, features))
        self._check()

    def _check(self) -> None:
        """Check the features of the session."""
        images = self._state.images
        wrong = not images or self._state.feature_fault is not None
        self._check_keys(set() if wrong else {one.key for one in self._state.features})
        with QSignalBlocker(self.margin):
            self.margin.setValue(self._state.settings.margin)
        self._follow()

    def _check_keys(self, keys: set[Key]) -> None:
        with QSignalBlocker(self.tree):
            for leaf in self._leaves():
                leaf.setCheckState(0, CHECKED if _key(leaf) in keys else UNCHECKED)

    def _click(self, item: QTreeWidgetItem) -> None:
        """Check a feature, or those that the name of a set chooses; or uncheck all of it."""
        if item.parent() is None:
            others = {key for key in self._chosen() if key[0] != _key(item)}
            own = {one.key for one in plain(self._offered[_key(item)])}
            self._check_keys(others | own if item.checkState(0) == CHECKED else others)
        self._follow()

    def _follow(self) -> None:
        """Say how many are checked, and offer to use them where they are others."""
        chosen, images = self._chosen(), self._state.images
        self._check_sets(chosen)
        has_images = bool(images)
        for widget in (self.tree, self.best, self.measure):
            widget.setVisible(has_images)
        around = [
            one
            for known in self._offered.values()
            for one in known
            if one.key in chosen and one.scope != "object"
        ]
        self.around.setVisible(has_images and bool(around))
        if has_images:
            self.text.setText(f"{len(chosen)} features are chosen.")
        self.measure.setEnabled(has_images and self._is_new(chosen))

    def _check_sets(self, chosen: AbstractSet[Key]) -> None:
        """Check the sets whose plain features are chosen; others have a sign if some are."""
        with QSignalBlocker(self.tree):
            for branch in self._branches():
                wanted = {one.key for one in plain(self._offered[_key(branch)])}
                some = any(set_name == _key(branch) for set_name, _ in chosen)
                whole = wanted <= chosen and some
                branch.setCheckState(0, CHECKED if whole else PARTLY if some else UNCHECKED)

    def _is_new(self, chosen: AbstractSet[Key]) -> bool:
        settings = self._state.settings
        known = set() if self._state.feature_fault else {one.key for one in self._state.features}
        return chosen != known or self.margin.value() != settings.margin

    def _branches(self) -> list[QTreeWidgetItem]:
        every = [self.tree.topLevelItem(k) for k in range(self.tree.topLevelItemCount())]
        return [branch for branch in every if branch is not None]

    def _leaves(self) -> list[QTreeWidgetItem]:
        return [branch.child(k) for branch in self._branches() for k in range(branch.childCount())]

    def _chosen(self) -> KeysView[Key]:
        """The checked features, in their order."""
        return dict.fromkeys(_key(leaf) for leaf in self._leaves() if leaf.checkState(0) == CHECKED).keys()

    # ------------------------------------------------------------------ change

    def _choose_best(self) -> None:
        self._check_keys({one.key for one in best_features(self._state.images[0].lane)})
        self._follow()

    def _apply(self) -> None:
        names = names_of(self._chosen(), self._offered)
        self.controller.change(self.controller.session.set_features, names, self.margin.value())


def _branch(name: str, features: list[Any]) -> QTreeWidgetItem:
    """A feature set with its features."""
    branch = QTreeWidgetItem([name if is_of_ilastik(name) else f"{name} (not in ilastik)"])
    branch.setData(0, Qt.ItemDataRole.UserRole, name)
    branch.setCheckState(0, UNCHECKED)
    for feature in features:
        leaf = QTreeWidgetItem(branch, [feature.name])
        leaf.setData(0, Qt.ItemDataRole.UserRole, feature.key)
        leaf.setToolTip(0, " ".join(feature.definition.split()))
        leaf.setCheckState(0, UNCHECKED)
    return branch


def _key(item: QTreeWidgetItem) -> Any:
    """The key of a feature, or the name of a set."""
    key = item.data(0, Qt.ItemDataRole.UserRole)
    return key if isinstance(key, str) else tuple(key)
