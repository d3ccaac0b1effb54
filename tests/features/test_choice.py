"""Names in place of feature sets."""

import pytest

from objclass.errors import UsageError
from objclass.features.contract import BEST, candidates, choose


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_best_are_the_sets_that_are_defined(ndim, channels):
    sets = [name for name in BEST if name != "colour" or channels > 1]
    assert choose(["best"], ndim, channels) == choose(sets, ndim, channels)
    assert choose(["best", "hull"], ndim, channels) == choose(sets, ndim, channels)


def test_without_raw_data_best_are_those_of_shape():
    assert {found.set_name for found in choose(["best"], 2, 0)} == {"Standard Object Features", "hull"}


def test_best_is_no_set():
    with pytest.raises(UsageError, match="no feature set 'best'"):
        choose(["best:area"], 2, 1)


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (2, 3), (3, 2)])
def test_candidates_are_defined_and_no_locations(ndim, channels):
    found = candidates(ndim, channels)
    assert all(feature.fits(ndim, channels) and not feature.location for feature in found)
    assert {feature.set_name for feature in found} >= {"regionprops", "texture", "parts"}
    assert len({feature.key for feature in found}) == len(found)
