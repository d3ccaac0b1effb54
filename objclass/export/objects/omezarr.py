"""OME-Zarr with the label image of the objects and their table, as ngio and Fractal have it.

The folder is an image of the raw data (https://ngff.openmicroscopy.org/0.4) with ``labels/objects``, the label image, and
``tables/objects``, a feature table (https://biovisioncenter.github.io/ngio, table specification "feature table", version 1)
whose column ``label`` holds the values of the label image.
"""

from os.path import join
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AXES, Region
from objclass.export.columns import Columns
from objclass.export.files import LaneFiles
from objclass.export.images import Boxes, Export
from objclass.export.objects.object_sink import ObjectSink
from objclass.export.paint import unchanged, with_channel
from objclass.export.sink import Header
from objclass.export.tables.text import CsvWriter
from objclass.images.attributes import write_json
from objclass.images.formats.omezarr import InnerLabelWriter, MultiScaleWriter
from objclass.images.writer import OutputImage
from objclass.pipeline.lane import Step

NAME = "objects"
"""Name of the label image, and of the table."""

GROUP = {"zarr_format": 2}


class OmeZarrSink(ObjectSink):
    """Raw data, label image and table of a lane, one time step."""

    def refusal(self, header: Header) -> str | None:
        """The reason why there is no image to which labels could belong, or Zarr cannot hold it."""
        if header.lane.raw is None:
            return (
                f"{self.path}: holds the label image beside the raw data: give --raw_data (or write the label image alone: "
                "--export_object_identities_img --output_format 'multi-scale OME-Zarr')"
            )
        refusal = MultiScaleWriter.refusal(self._raw_image())
        return f"{self.path}: {refusal}" if refusal else super().refusal(header)

    def _raw_image(self) -> OutputImage:
        raw = self.lane.raw
        assert raw is not None
        size = self.plan.carried_size(self.lane)
        return OutputImage(AXES, raw.shape, raw.dtype, self.image, raw.drange, size)

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the image."""
        super().begin(files, context)
        self._image = MultiScaleWriter(self.temporary, self._raw_image(), context)
        self.cleanup.callback(self._image.abort)

    def step(self, step: Step) -> None:
        """Write raw data, labels and table."""
        assert self.lane.raw is not None
        region: Region = tuple(slice(0, n) for n in self.lane.raw.shape)  # type: ignore[assignment]  # five axes
        boxes = Boxes(self.lane.raw, step.t)
        Export("raw", self._raw_image(), region, None, None).write(
            self._image, step.t, boxes, unchanged, self.context
        )
        self._write_labels(step)
        self._write_table(step)

    def _write_labels(self, step: Step) -> None:
        shape = (1, *step.objects.labels.shape, 1)
        classes = step.predictions.classes - 1 if step.predictions is not None else np.zeros(0, int)
        image = OutputImage(
            AXES,
            shape,
            np.dtype(np.uint32),
            NAME,
            pixel_size=self.plan.carried_size(self.lane),
            labels=True,
            names=tuple(self.classes[k] for k in classes),
            colors=tuple(self.colors[k] for k in classes),
        )
        self._write_group("labels")
        writer = InnerLabelWriter(join(self.temporary, "labels", NAME), image, self.context)
        self.cleanup.callback(writer.abort)
        region: Region = tuple(slice(0, n) for n in shape)  # type: ignore[assignment]  # five axes
        Export("labels", image, region, None, None).write(
            writer, step.t, step.objects.labels, with_channel, self.context
        )
        writer.close()

    def _write_table(self, step: Step) -> None:
        constant = {name: np.full(len(step.table), text, dtype=object) for name, text in self.lane.metadata}
        categories: Columns = {}
        classes = self.class_names(step)
        if classes is not None:
            categories["class"] = classes
        numbers = self.measurements(step)
        self._write_group("tables")
        folder = join(self.temporary, "tables", NAME)
        write_json(folder, ".zgroup", GROUP)
        write_json(folder, ".zattrs", _table_attributes(categories, numbers, constant))
        writer = CsvWriter(join(folder, "table.csv"))
        self.cleanup.callback(writer.abort)
        writer.append({"label": step.table.label, **categories, **constant, **numbers})
        writer.close()

    def _write_group(self, name: str) -> None:
        """A group of labels or tables, with the only one of them."""
        folder = join(self.temporary, name)
        write_json(folder, ".zgroup", GROUP)
        write_json(folder, ".zattrs", {name: [NAME]})

    def finish(self) -> None:
        """Complete the image."""
        self._image.close()


def _table_attributes(categories: Columns, numbers: Columns, constant: Columns) -> dict[str, Any]:
    """The attributes of a feature table."""
    return {
        "type": "feature_table",
        "table_version": "1",
        "backend": "csv",
        "region": {"path": f"../labels/{NAME}"},
        "instance_key": "label",
        "index_key": "label",
        "index_type": "int",
        "categorical_columns": list(categories),
        "measurement_columns": list(numbers),
        "metadata_columns": list(constant),
    }
