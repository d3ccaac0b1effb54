"""GeoJSON for QuPath: the outline of each object, its class, colour and measurements.

Coordinates are corners of pixels: the first pixel of the image reaches from 0 to 1. The properties are those that
QuPath writes and reads (https://qupath.readthedocs.io, "Exporting annotations").
"""

import json
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path
from typing import BinaryIO, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from objclass.compute.context import Context
from objclass.export.columns import Columns
from objclass.export.files import LaneFiles
from objclass.export.objects.object_sink import ObjectSink
from objclass.export.objects.outlines import Outline
from objclass.pipeline.lane import Step

NAMESPACE = uuid5(NAMESPACE_URL, "objclass")
"""Of the ids of objects: the same image, time step and label have the same id in every run."""

ROWS = 5_000
"""Objects whose measurements are text at the same time."""


class GeoJsonSink(ObjectSink):
    """A feature for each object, in the order of their labels; with the suffix ``.gz`` it is packed."""

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the file."""
        super().begin(files, context)
        self._file = self.cleanup.enter_context(Path(self.temporary).open("wb"))  # noqa: SIM115
        self._text: BinaryIO = self._file
        if self.path.lower().endswith(".gz"):
            packed = GzipFile("", "wb", 6, self._file, mtime=0)  # neither name nor time in it
            self._text = cast("BinaryIO", packed)
        self._text.write(b'{"type":"FeatureCollection","features":[')

    def step(self, step: Step) -> None:
        """Write the objects."""
        classes = [""] * step.objects.count
        if step.predictions is not None:
            texts = [
                f'"classification":{_json({"name": name, "color": color})},'
                for name, color in zip(self.classes, self.colors, strict=True)
            ]
            classes = [texts[k - 1] for k in step.predictions.classes.tolist()]
        metadata = f'"metadata":{_json(dict(self.lane.metadata))},' if self.lane.metadata else ""
        numbers = measurement_texts(self.measurements(step))
        for first, (_, outline) in zip(_separators(), self.outlines(step), strict=False):
            label = outline.label
            self._text.write(
                f'{first}{{"type":"Feature","id":"{object_id(self.image, step.t, label)}",'
                f'"geometry":{_json(geometry(outline))},"properties":{{"objectType":"detection","name":"{label}",'
                f'{classes[label - 1]}{metadata}"measurements":{{{next(numbers)}}}}}}}'.encode()
            )

    def finish(self) -> None:
        """Complete the file."""
        self._text.write(b"\n]}\n")
        self._text.close()
        self._file.close()


def _separators() -> Iterator[str]:
    yield "\n"
    while True:
        yield ",\n"


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def object_id(image: str, t: int, label: int) -> UUID:
    """The id of an object, a UUID of version 5.

    Examples
    --------
    >>> str(object_id("cells", 0, 1))
    '076afa18-91f0-5fec-b7e3-0be4f6ba305d'
    """
    return uuid5(NAMESPACE, f"{image}/{t}/{label}")


def geometry(outline: Outline) -> dict[str, object]:
    """The geometry of an outline: rings are closed, the first one of a polygon runs round it, others round its holes.

    Examples
    --------
    >>> import numpy as np
    >>> geometry(Outline(1, [[np.array([[2, 0], [3, 0], [3, 1], [2, 1]])]]))
    {'type': 'Polygon', 'coordinates': [[[2, 0], [3, 0], [3, 1], [2, 1], [2, 0]]]}
    """
    polygons = [[[*points, points[0]] for points in (ring.tolist() for ring in p)] for p in outline.polygons]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def measurement_texts(columns: Columns) -> Iterator[str]:
    """For each row its names and numbers as JSON, without braces; numbers that are not finite are left out.

    Examples
    --------
    >>> import numpy as np
    >>> list(measurement_texts({"Size": np.array([3, 4]), "Mean": np.array([0.1, np.nan], np.float32)}))
    ['"Size":3,"Mean":0.1', '"Size":4']
    """
    import polars

    def text(number: int, name: str, *, is_float: bool) -> polars.Expr:
        column = polars.col(str(number))
        shown = polars.lit(f"{_json(name)}:") + column.cast(polars.String)
        return polars.when(column.is_finite()).then(shown) if is_float else shown

    kinds = {name: values.dtype.kind == "f" for name, values in columns.items()}
    texts = [text(number, name, is_float=kind) for number, (name, kind) in enumerate(kinds.items())]
    whole = polars.DataFrame({str(number): values for number, values in enumerate(columns.values())})
    for rows in whole.iter_slices(ROWS):
        yield from rows.select(polars.concat_str(texts, separator=",", ignore_nulls=True)).to_series()
