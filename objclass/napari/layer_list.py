"""A list of layers and files in which some can be checked."""

from collections.abc import Callable, Mapping

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from objclass.session.sources import Source

ROW, ROWS = 20, 4
"""Pixels from row to row; rows that are seen at a time."""


def fit_rows(shown: QListWidget) -> None:
    """Make a list as high as its rows are, up to `ROWS`."""
    for place in range(shown.count()):
        shown.item(place).setSizeHint(QSize(0, ROW))
    shown.setFixedHeight(ROW * max(1, min(ROWS, shown.count())) + 6)


class LayerList(QListWidget):
    """Sources of which one can be checked, or several that are channels of one image.

    Parameters
    ----------
    tip
        What is to be checked.
    is_channel
        Whether others can be checked at the same time as a source.

    Attributes
    ----------
    changed
        Others are checked.
    """

    changed = Signal()

    def __init__(self, tip: str, is_channel: Callable[[Source], bool] = lambda _: True) -> None:
        super().__init__(toolTip=tip)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._check)
        self._is_channel = is_channel
        self._sources: dict[object, Source] = {}

    @property
    def checked(self) -> list[Source]:
        """The checked sources, in the order of the list."""
        return [self._sources[key] for key in self.checked_keys()]

    def fill(self, sources: Mapping[object, Source]) -> None:
        """Show other sources; those that were checked and are there still stay so."""
        before = set(self.checked_keys())
        self._sources = dict(sources)
        with QSignalBlocker(self):
            self.clear()
            for key, source in sources.items():
                item = QListWidgetItem(source.name, self)
                item.setData(Qt.ItemDataRole.UserRole, key)
                item.setToolTip(f"{source.name} {source.shape} {source.array.dtype}")
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Checked if key in before else Qt.CheckState.Unchecked)
            fit_rows(self)
        self.changed.emit()

    def check(self, key: object) -> None:
        """Check a source."""
        for item in self._items():
            if item.data(Qt.ItemDataRole.UserRole) == key:
                item.setCheckState(Qt.CheckState.Checked)

    def _check(self, item: QListWidgetItem) -> None:
        if item.checkState() == Qt.CheckState.Checked and not all(map(self._is_channel, self.checked)):
            with QSignalBlocker(self):
                for other in self._items():
                    if other is not item:
                        other.setCheckState(Qt.CheckState.Unchecked)
        self.changed.emit()

    def _items(self) -> list[QListWidgetItem]:
        return [item for k in range(self.count()) if (item := self.item(k)) is not None]

    def checked_keys(self) -> list[object]:
        """The keys of the checked sources."""
        checked = [item for item in self._items() if item.checkState() == Qt.CheckState.Checked]
        return [item.data(Qt.ItemDataRole.UserRole) for item in checked]
