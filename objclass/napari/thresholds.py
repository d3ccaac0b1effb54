"""The panel Thresholds: how prediction maps become objects."""

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QSlider, QSpinBox, QWidget

from objclass.napari.controller import Controller
from objclass.napari.messages import objects
from objclass.napari.section import SPACING, row

PAUSE = 100
"""Milliseconds without a change after which objects are found anew."""

LARGEST = 2_000_000_000
"""Pixels of the largest size that can be given."""


class ThresholdsPanel(QWidget):
    """Thresholds and sizes of the objects of prediction maps; objects follow at once."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.method = QComboBox(
            toolTip="hysteresis and ipht look for cores: objects need a pixel above the core threshold"
        )
        self.channel = QSpinBox(toolTip="The channel that shows the objects, counted from 0")
        self.core_channel = QSpinBox(toolTip="The channel that shows their cores, counted from 0")
        self.threshold, self.core_threshold = Fraction(), Fraction()
        self.sigmas = [
            QDoubleSpinBox(
                prefix=f"{axis} ", maximum=1000, singleStep=0.5, decimals=1, keyboardTracking=False
            )
            for axis in "xyz"
        ]
        self.minimum = QSpinBox(maximum=LARGEST, suffix=" px", keyboardTracking=False)
        self.maximum = QSpinBox(
            maximum=LARGEST, suffix=" px", specialValueText="no limit", keyboardTracking=False
        )
        self.count = QLabel(wordWrap=True)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE)
        self._lay_out()
        self._connect()
        self._fill()

    def _lay_out(self) -> None:
        self.form = QFormLayout(self)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.form.setSpacing(SPACING)
        for name, widget in (
            ("Method", self.method),
            ("Channel", self.channel),
            ("Threshold", self.threshold),
            ("Core channel", self.core_channel),
            ("Core threshold", self.core_threshold),
            ("Smoothing", row(*self.sigmas)),
            ("Smallest", self.minimum),
            ("Largest", self.maximum),
        ):
            self.form.addRow(name, widget)
        self.form.addRow(self.count)

    def _connect(self) -> None:
        self._pause.timeout.connect(self._apply)
        self.method.currentIndexChanged.connect(self._begin)
        for widget in self._numbers:
            widget.valueChanged.connect(self._begin)
        controller = self.controller
        controller.settings_changed.connect(self._fill)
        controller.images_changed.connect(self._fill)
        controller.image_changed.connect(lambda _: self._tell_count())
        controller.labels_changed.connect(self._tell_count)

    @property
    def _numbers(self) -> list[Any]:
        sliders = [self.threshold, self.core_threshold]
        return [self.channel, self.core_channel, *sliders, *self.sigmas, self.minimum, self.maximum]

    @property
    def _state(self) -> Any:
        return self.controller.session.state

    def _fill(self) -> None:
        """Show the thresholds of the session."""
        if self._pause.isActive():
            return  # the user is about to change them
        now = self._state.settings.threshold
        blocked = [QSignalBlocker(widget) for widget in (self.method, *self._numbers)]
        self.method.clear()
        self.method.addItems(self._state.methods)
        self.method.setCurrentText(now.method)
        if self._state.images:
            maps = self._state.images[0].lane.objects
            self.channel.setMaximum(maps.shape[4] - 1)
            self.core_channel.setMaximum(maps.shape[4] - 1)
            self.sigmas[2].setVisible(maps.ndim == 3)
        self.channel.setValue(now.channel)
        self.core_channel.setValue(now.core_channel)
        self.threshold.setValue(now.threshold)
        self.core_threshold.setValue(now.core_threshold)
        for widget, sigma in zip(self.sigmas, now.sigmas, strict=True):
            widget.setValue(sigma)
        self.minimum.setValue(now.min_size)
        self.maximum.setValue(now.max_size or 0)
        del blocked
        self._shown = self._values()
        self._show_cores()
        self._tell_count()

    def _begin(self) -> None:
        self._show_cores()
        self._pause.start()

    def _show_cores(self) -> None:
        has_cores = self.method.currentText() != "simple"
        self.form.setRowVisible(self.core_channel, has_cores)
        self.form.setRowVisible(self.core_threshold, has_cores)

    def _apply(self) -> None:
        self.controller.change(lambda: self.controller.session.set_threshold(self._wanted()))
        self._fill()  # what it is now

    def _wanted(self) -> Any:
        """The thresholds of the session with what was changed; numbers that boxes round stay as they are.

        Raises
        ------
        UsageError
            If they contradict each other.
        """
        changed = {name: value for name, value in self._values().items() if value != self._shown[name]}
        return replace(self._state.settings.threshold, **changed)

    def _values(self) -> dict[str, Any]:
        """What is shown, by the name of the setting."""
        return {
            "method": self.method.currentText(),
            "channel": self.channel.value(),
            "core_channel": self.core_channel.value(),
            "threshold": self.threshold.value(),
            "core_threshold": self.core_threshold.value(),
            "sigmas": tuple(widget.value() for widget in self.sigmas),
            "min_size": self.minimum.value(),
            "max_size": self.maximum.value() or None,
        }

    def _tell_count(self) -> None:
        found, lost = self._state.found.get(self.controller.current_image), self._state.lost
        if found is not None:
            rest = f" {lost:,} labels have no object." if lost else ""
            self.count.setText(f"{objects(found.count)} in {found.image.lane.nickname}.{rest}")


class Fraction(QWidget):
    """A number from 0 to 1: a slider, and a box for those who know it or use keys.

    Attributes
    ----------
    valueChanged
        The number is another one.
    """

    valueChanged = Signal(float)  # noqa: N815  # as Qt's boxes have it

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal, maximum=1000, singleStep=10, pageStep=100)
        self.box = QDoubleSpinBox(maximum=1, singleStep=0.01, decimals=3, keyboardTracking=False)
        self.value = self.box.value
        row(self.slider, self.box, into=self)
        self.slider.valueChanged.connect(lambda thousandths: self.box.setValue(thousandths / 1000))
        self.box.valueChanged.connect(self._set)

    def setValue(self, value: float) -> None:  # noqa: N802  # as Qt's boxes have it
        """Show another number."""
        self.box.setValue(value)

    def _set(self, value: float) -> None:
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(1000 * value))
        self.valueChanged.emit(value)
