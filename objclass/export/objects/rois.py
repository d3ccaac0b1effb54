"""ImageJ regions of interest: a zip file for ImageJ's ROI Manager, a region for each object in each plane."""

from collections.abc import Iterator
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.export.files import LaneFiles
from objclass.export.objects.object_sink import ObjectSink
from objclass.export.objects.outlines import Outline
from objclass.export.sink import Header
from objclass.pipeline.lane import Step

MAXIMUM_SIDE = 60_535
"""Largest coordinate: ImageJ stores 16 bits, and takes the largest ones for negative numbers."""

MAXIMUM_EXTENT, MAXIMUM_CORNERS = 32_767, 65_535
"""Of a traced region, whose corners are relative to its own corner; larger ones are composite."""

MOVE, LINE, CLOSE = 0, 1, 4
"""Steps of the path of a composite region."""


class RoiSink(ObjectSink):
    """A region for each object and plane; named by label and class, in planes of a stack also by t and z from 1."""

    def refusal(self, header: Header) -> str | None:
        """The reason why ImageJ cannot hold the lane."""
        height, width = header.lane.objects.shape[2:4]
        if max(height, width) > MAXIMUM_SIDE:
            return (
                f"{self.path}: ImageJ regions hold images of up to {MAXIMUM_SIDE} rows and columns, not {height} × {width}: "
                "give a name in .geojson"
            )
        return super().refusal(header)

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the file."""
        super().begin(files, context)
        self._steps, self._depth = self.lane.objects.shape[:2]
        self._zip = self.cleanup.enter_context(ZipFile(self.temporary, "w"))

    def step(self, step: Step) -> None:
        """Write the regions, plane by plane."""
        classes = step.predictions.classes.tolist() if step.predictions is not None else None
        for z, outline in self.outlines(step):
            group = classes[outline.label - 1] if classes is not None else 0
            names = [str(outline.label), *self.classes[group - 1 : group], *self._plane(step.t, z)]
            name = "_".join(names)
            color = bytes((255, *self.colors[group - 1])) if group else b"\0\0\0\0"
            given = self._position(step.t, z) | {"name": name, "group": group, "stroke_color": color}
            # ImageJ's list shows the name of the entry; the entry has no time, so that bytes are always the same
            self._zip.writestr(ZipInfo(f"{_as_file_name(name)}.roi"), region(outline, given))

    def _plane(self, t: int, z: int) -> Iterator[str]:
        """What the name of a region says of its plane."""
        if self._steps > 1:
            yield f"t{t + 1}"
        if self._depth > 1:
            yield f"z{z + 1}"

    def _position(self, t: int, z: int) -> dict[str, int]:
        """The place of a plane: its number in a stack, or its numbers in a hyperstack, all from 1."""
        t_position, z_position = (t + 1) * (self._steps > 1), (z + 1) * (self._depth > 1)
        if sum((self.lane.channels > 1, z_position > 0, t_position > 0)) > 1:
            return {"t_position": t_position, "z_position": z_position}
        return {"position": t_position or z_position}

    def finish(self) -> None:
        """Complete the file."""
        self._zip.close()


def _as_file_name(name: str) -> str:
    """The name without characters that mean a folder."""
    return name.translate(str.maketrans("/\\\0", "___"))


def region(outline: Outline, given: dict[str, Any]) -> bytes:
    """The region of an outline: traced if it is one polygon without holes, else composite."""
    from roifile import ROI_TYPE, ImagejRoi

    rings = [ring for polygon in outline.polygons for ring in polygon]
    points = np.concatenate(rings)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    box = {"left": left, "top": top, "right": right, "bottom": bottom}
    is_small = max(right - left, bottom - top) <= MAXIMUM_EXTENT and len(points) <= MAXIMUM_CORNERS
    if outline.is_simple and is_small:
        inside = (points - (left, top)).astype(np.int32)
        made = ImagejRoi(
            roitype=ROI_TYPE.TRACED, n_coordinates=len(inside), integer_coordinates=inside, **box, **given
        )
    else:
        path = np.concatenate([_path(ring) for ring in rings])
        made = ImagejRoi(
            roitype=ROI_TYPE.RECT, shape_roi_size=len(path), multi_coordinates=path, **box, **given
        )
    return bytes(made.tobytes())


def _path(ring: AnyArray) -> AnyArray:
    """A ring as steps of a path.

    Examples
    --------
    >>> _path(np.array([[0, 0], [1, 0], [1, 1], [0, 1]])).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 4.0]
    """
    steps = np.full((len(ring), 3), LINE, np.float32)
    steps[:, 1:] = ring
    steps[0, 0] = MOVE
    return np.append(steps.ravel(), np.float32(CLOSE))
