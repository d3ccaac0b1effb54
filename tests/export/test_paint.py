"""Result images: every way of painting gives the same pixels, in any order, of any box."""

from itertools import product

import numpy as np
import pytest

from objclass.core import AXES, Predictions, from_canonical
from objclass.export import paint as module
from objclass.export.paint import paint, painter

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 7, (3, 5, 4), np.uint32)
PREDICTIONS = Predictions(RNG.random((6, 3)).astype(np.float32))


@pytest.fixture(params=["numpy", "numpy, row by row", "plain kernel", "compiled"], autouse=True)
def way(request, monkeypatch):
    """Each of the ways to paint, whatever the size."""
    for kernel in module.kernels.values():
        chosen = {"plain kernel": kernel.entry, "compiled": kernel.compiled}.get(request.param)
        monkeypatch.setattr(kernel, "choose", lambda _, chosen=chosen: chosen)
    if request.param == "numpy, row by row":
        monkeypatch.setattr(module, "PIECE", 1)
    return request.param


def by_hand(labels, source):
    found = np.zeros((*labels.shape, 1 if source == "Object Predictions" else 3), np.float32)
    for place, label in np.ndenumerate(labels):
        if label:
            row = PREDICTIONS.probabilities[label - 1]
            found[place] = row.argmax() + 1 if source == "Object Predictions" else row
    return found


@pytest.mark.parametrize(
    ("source", "axes"),
    [
        ("Object Predictions", "zyx"),
        *product(
            ["Object Predictions", "Object Probabilities"],
            [AXES, "tczyx", "yxzc", "cxyz", "xyzct", "czyx"],
        ),
    ],
)
def test_pixels_lie_in_the_order_of_the_file(source, axes):
    image = painter(source, PREDICTIONS, axes)(LABELS)
    assert image.dtype == (np.uint8 if source == "Object Predictions" else np.float32)
    assert np.array_equal(image, by_hand(LABELS, source))
    stored = from_canonical(image[None], axes)
    assert stored.flags.c_contiguous
    assert np.shares_memory(stored, image)


@pytest.mark.parametrize("source", ["Object Predictions", "Object Probabilities"])
@pytest.mark.parametrize(
    "labels",
    [
        LABELS[1:2, 1:4],
        LABELS[:, ::2, 1:3],
        LABELS.transpose(2, 0, 1),
        LABELS[:0],
        LABELS[:, :0],
        LABELS[..., :0],
        np.zeros((1, 1, 1), np.uint32),
        LABELS.astype(np.uint8),
    ],
    ids=lambda labels: str(labels.shape),
)
def test_any_box(source, labels):
    assert np.array_equal(painter(source, PREDICTIONS)(labels), by_hand(labels, source))


def test_planes_smaller_and_larger_than_a_piece(monkeypatch):
    whole = painter("Object Probabilities", PREDICTIONS)(LABELS)
    for piece in (1, 4, 9, 20, 39, 41, 1000):
        monkeypatch.setattr(module, "PIECE", piece)
        assert np.array_equal(painter("Object Probabilities", PREDICTIONS)(LABELS), whole)


def test_no_objects():
    nothing = Predictions(np.zeros((0, 3), np.float32))
    assert not painter("Object Probabilities", nothing)(LABELS * 0).any()


def test_a_label_without_predictions_is_no_pixel():
    lut = np.zeros((1, 3), np.uint8)
    with pytest.raises(IndexError):
        paint(np.full((1, 1, 1), 3, np.uint32), lut)


def test_identities_are_the_labels_themselves():
    image = painter("Object Identities", None)(LABELS)
    assert np.shares_memory(image, LABELS)
    assert image.shape == (3, 5, 4, 1)


def test_predictions_are_needed():
    with pytest.raises(ValueError, match="Object Predictions without predictions"):
        painter("Object Predictions", None)
