"""AnnData for scanpy and squidpy: features of the objects (X), with what else is known of objects and features.

The layout is that of https://anndata.readthedocs.io: rows are objects, ``obs`` describes them, ``var`` describes the
features, ``obsm["spatial"]`` are positions x, y(, z), ``uns["class_colors"]`` the colours of the categories of ``class``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.hdf5_file import Hdf5File
from objclass.core import PIXELS, FeatureTable, Predictions
from objclass.export.columns import Column, Rows, filled
from objclass.export.files import LaneFiles
from objclass.export.objects.object_sink import CENTER, ObjectSink
from objclass.export.sink import Header
from objclass.pipeline.lane import Step, collect
from objclass.version import __version__


class AnnDataSink(ObjectSink):
    """One matrix of all time steps of a lane."""

    def refusal(self, header: Header) -> str | None:
        """The reason why metadata cannot stand beside the columns of AnnData's ``obs``."""
        own = ("image", "frame", "label", "class", "uncertainty", "novelty", *self.probability_names())
        clash = next((name for name, _ in header.lane.metadata if name in own), None)
        if clash is not None:
            return f"{self.path}: has a column '{clash}' of its own: give the metadata column '{clash}' another name"
        return super().refusal(header)

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Get the temporary name."""
        super().begin(files, context)
        self._measured: list[tuple[FeatureTable, Predictions | None]] = []

    def step(self, step: Step) -> None:
        """Keep features and predictions."""
        self._measured.append((step.table, step.predictions))

    def finish(self) -> None:
        """Write the file."""
        from anndata.io import write_elem

        made = self._made(*collect(self._measured))
        self._measured.clear()
        with Hdf5File(self.temporary) as file:
            write_elem(file, "/", made)

    def _made(self, table: FeatureTable, predictions: Predictions | None) -> Any:
        from anndata import AnnData

        features = [column for column in self.columns() if column.source]
        values = list(filled(features, Rows(table, self.image)).values())
        # one matrix: float32 unless a feature has more digits
        matrix = np.stack(values, axis=1, dtype=np.result_type(np.float32, *values))
        made = AnnData(matrix, self._obs(table, predictions), _var(features))
        size = self.plan.carried_size(self.lane) or PIXELS
        made.obsm["spatial"] = table.values[CENTER] * np.array(size.spacing(self.lane.objects.ndim)[::-1])
        made.uns["objclass"] = self._origin(size.unit)
        if predictions is not None:
            made.uns["class_colors"] = np.array(
                ["#{:02x}{:02x}{:02x}".format(*color) for color in self.colors]
            )
        return made

    def _obs(self, table: FeatureTable, predictions: Predictions | None) -> Any:
        import pandas as pd

        names = [f"{self.image}_{t}_{label}" for t, label in zip(table.timestep, table.label, strict=True)]
        obs = pd.DataFrame(index=pd.Index(names, dtype=object))
        constant = {"image": self.image, **dict(self.lane.metadata)}
        for name, text in constant.items():
            obs[name] = pd.Categorical([text] * len(names), [text])
        obs["frame"], obs["label"] = table.timestep, table.label
        for name, values in table.given.items():
            obs[name] = values
        if predictions is not None:
            classes = np.array(self.numbered_classes(), dtype=object)
            obs["class"] = pd.Categorical(classes[predictions.classes - 1], classes)
            for k, name in enumerate(self.probability_names()):
                obs[name] = predictions.probabilities[:, k]
            obs["uncertainty"] = predictions.uncertainty
            if predictions.novelty is not None:
                obs["novelty"] = predictions.novelty
        return obs

    def _origin(self, unit: str) -> dict[str, Any]:
        project = self.plan.project
        return {
            "version": __version__,
            "project": Path(project.path).name if project is not None else "",
            "spatial_unit": unit or "px",
            "length_unit": self.plan.measured_size(self.lane).unit or "px",
        }


def _var(features: Sequence[Column]) -> Any:
    """Source, unit and definition of the features."""
    import pandas as pd

    described = {
        "source": [column.source for column in features],
        "unit": [column.unit for column in features],
        "definition": [column.definition for column in features],
    }
    names = pd.Index([column.name for column in features], dtype=object)
    return pd.DataFrame(described, index=names, dtype=object)
