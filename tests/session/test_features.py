"""The features that windows offer."""

import numpy as np
import pytest

from objclass.features.contract import choose
from objclass.session import Session
from objclass.session.features import best_features, names_of, offered_features


@pytest.fixture(scope="module")
def lane():
    session = Session()
    session.add_image(np.zeros((20, 30)), label_image=np.eye(20, 30, dtype="uint8"))
    return session.state.images[0].lane


@pytest.mark.parametrize(
    "names",
    [
        ("Standard Object Features",),
        ("Standard Object Features:Count", "hull"),
        ("2D Skeleton Features", "Standard Object Features:RegionCenter"),
        (),
    ],
)
def test_names_choose_the_same_features(lane, names):
    chosen = [one.key for one in choose(names, 2, 1, training=True)]
    assert names_of(chosen, offered_features(lane)) == names


def test_sets_keep_their_order_and_what_is_not_offered_its_name(lane):
    chosen = [("hull", "Area"), ("gone", "a"), ("Standard Object Features", "Count"), ("gone", "b")]
    names = ("hull:Area", "gone:a", "gone:b", "Standard Object Features:Count")
    assert names_of(chosen, offered_features(lane)) == names


def test_only_what_is_defined_for_the_image_is_offered(lane):
    offered = offered_features(lane)
    assert "2D Convex Hull Features" in offered
    assert "3D Convex Hull Features" not in offered
    assert {one.key for one in best_features(lane)} <= {f.key for known in offered.values() for f in known}
