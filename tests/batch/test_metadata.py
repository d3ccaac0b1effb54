"""Metadata of lanes: columns of the table that say where the images come from; sizes and cutouts of one lane."""

from dataclasses import replace

import numpy as np
import pytest

from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.request import Request
from objclass.core import Lane, PixelSize
from objclass.errors import UsageError
from objclass.export.checks import table_header
from objclass.images import from_array
from objclass.pipeline.pairing import Inputs
from objclass.settings import ExportSettings

REQUEST = Request(Inputs({}), table="t.csv", features=("regionprops:area",), table_only=True)


def lane(**more):
    image = from_array(np.eye(6, dtype=np.uint8), "yx")
    return Lane(None, image, "label_image", "a", "/data", **more)


def planned(*lanes, **more):
    request = replace(REQUEST, **more)
    plan = make_plan(request, lanes, None)
    return plan, plan_tasks(request, plan, lanes)


def test_metadata_stand_after_the_image():
    plan, (task,) = planned(lane(metadata=(("plate", "p1"), ("well", "A01"))))
    columns = table_header(task, plan)
    assert columns[columns.index("Image") :][:4] == ["Image", "plate", "well", "original_oid"]


@pytest.mark.parametrize("name", ["area", "Image", "object_id"])
def test_metadata_of_the_name_of_a_column_are_refused(name):
    with pytest.raises(UsageError, match=f"metadata column '{name}': the table has a column of this name"):
        planned(lane(metadata=(("well", "A01"), (name, "x"))))


def test_the_pixel_size_of_a_lane_comes_before_that_of_the_run():
    own, other = lane(given_size=PixelSize(0.5, 0.5, 0.5, "um")), lane()
    plan, _ = planned(own, other, pixel_size=PixelSize(2, 2, 2, "um"))
    assert [plan.measured_size(each).x for each in (own, other)] == [0.5, 2]
    assert [plan.carried_size(each).x for each in (own, other)] == [0.5, 2]
    with pytest.raises(UsageError, match="in um, .* in px: expected one unit for all lanes"):
        planned(own, other)


def test_the_cutout_of_a_lane_comes_before_that_of_the_run():
    export = ExportSettings(
        cutout_subregion=((0, 0, 0), (4, 4, 1)), output_filename_format="/tmp/{nickname}_{x_start}"
    )
    own = lane(cutout=((2, 1, 0), (4, 5, 1)))
    _, tasks = planned(own, replace(lane(), nickname="b"), export=export, table_only=False)
    assert [task.outputs[0].export.image.shape for task in tasks] == [(2, 4, 1), (4, 4, 1)]
