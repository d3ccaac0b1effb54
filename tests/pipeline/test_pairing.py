"""Lists of images: the first of each role is in the first lane; what their names say besides."""

import logging

import pytest

from objclass.errors import UsageError
from objclass.pipeline.pairing import Inputs, pair


def paired(raw, labels):
    return [
        tuple(lane.paths.values()) for lane in pair(Inputs({"raw_data": raw, "label_image": labels}), None)
    ]


def test_lists_are_taken_in_their_order(caplog):
    raw, labels = ["in/a_raw.tif", "in/b_raw.tif"], ["in/a_seg.tif", "in/b_seg.tif"]
    assert paired(raw, labels) == list(zip(raw, labels, strict=True))
    assert paired(raw, ["x.tif", "y.tif"]) == [("in/a_raw.tif", "x.tif"), ("in/b_raw.tif", "y.tif")]
    assert not caplog.messages


def test_different_orders_are_a_warning(caplog):
    caplog.set_level(logging.WARNING, "objclass")
    raw, labels = ["in/1_raw.tif", "in/10_raw.tif", "in/2_raw.tif"], ["s/1.tif", "s/2.tif", "s/10.tif"]
    assert paired(raw, labels) == list(zip(raw, labels, strict=True))
    (message,) = caplog.messages
    assert "--raw_data and --label_image are in different orders" in message
    assert "in/10_raw.tif is paired with s/2.tif" in message


@pytest.mark.parametrize(
    ("raw", "labels", "part"),
    [
        (["1r.tif", "2r.tif", "3r.tif"], ["3s.tif", "1s.tif"], "no partner: 2r.tif"),
        (["1r.tif", "2r.tif", "3r.tif"], ["3s.tif", "4s.tif"], "no partner: 1r.tif, 2r.tif, 4s.tif"),
        (["a.tif", "b.tif", "c.tif"], ["x.tif", "y.tif"], "one for each lane (a glob"),
        (["a.tif", "b.tif"], ["x.tif"], "2 for --raw_data and 1 for --label_image"),
        (["a.tif", "b.tif", "a.tif"], ["x.tif", "y.tif", "./x.tif"], "twice: lane 3 and lane 1 (a.tif)"),
    ],
)
def test_lists_that_do_not_fit(raw, labels, part):
    with pytest.raises(UsageError) as fault:
        paired(raw, labels)
    assert part in str(fault.value)


def test_one_image_may_be_in_several_lanes():
    assert len(paired(["a.tif", "a.tif"], ["x.tif", "y.tif"])) == 2
