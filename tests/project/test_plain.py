"""Stored pickles are read without being run."""

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.errors import ProjectError
from objclass.project.ilp_read import read_table
from objclass.project.ilp_write import _table_pickle
from objclass.project.model import TableSettings
from objclass.project.plain import read_plain

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(plain, st.integers(0, 5))
def test_plain_values_come_back(value, protocol):
    assert read_plain(pickle.dumps(value, protocol)) == value


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_ever_run(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError):
        read_plain(pickle.dumps(({"file path": Evil()}, []), protocol))
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=60))
def test_garbage_is_refused(data):
    try:
        read_plain(data)
    except ProjectError:
        pass


@given(st.text(max_size=20), st.lists(st.text(max_size=20)))
def test_the_table_settings_that_we_write_are_a_pickle(path, features):
    data = _table_pickle(TableSettings("csv", path, tuple(features)))
    assert pickle.loads(data) == ({"file type": "csv", "file path": path, "compression": {}}, features)


def test_settings_that_cannot_be_read_are_none(tmp_path):
    import h5py
    import numpy as np

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.void(pickle.dumps((Evil(), []), 0))
        assert read_table(file["x"]) is None
        file["y"] = b"garbage"
        assert read_table(file["y"]) is None
