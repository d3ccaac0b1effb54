"""Small tables are written without polars, in the same bytes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from objclass.export.tables import text
from objclass.export.tables.text import CsvWriter, TsvWriter


def written(path, writer, parts):
    file = writer(str(path))
    for columns in parts:
        file.append(columns)
    file.close()
    return path.read_bytes()


def both(tmp_path, parts, writer=CsvWriter):
    """The same without polars and by polars alone."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for small in (text.SMALL, -1):
            patch.setattr(text, "SMALL", small)
            found.append(written(tmp_path / "t", writer, parts))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(hnp.arrays(st.sampled_from([np.float32, np.float64]), st.integers(1, 20)))
def test_numbers(folder, values):
    small, large = both(folder, [{"a": values}])
    assert small == large


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_of_every_size(folder, dtype):
    powers = [base * 10.0**e for e in range(-44, 38) for base in (1, 1.5, -9.999999, 1.2345678901)]
    integers = [2.0**k + d for k in range(60) for d in (-1, 0, 1)]
    special = [
        0.0,
        -0.0,
        math.nan,
        math.inf,
        -math.inf,
        float(np.finfo(dtype).max),
        float(np.finfo(dtype).tiny),
    ]
    small, large = both(folder, [{"a": np.array(powers + integers + special).astype(dtype)}])
    assert small == large
    found = np.genfromtxt(small.decode().split("\n")[1:-4], dtype=dtype)
    assert np.array_equal(
        found, np.array(powers + integers + special).astype(dtype)[: len(found)], equal_nan=True
    )


@pytest.mark.parametrize("writer", [CsvWriter, TsvWriter])
@given(st.lists(st.text(st.sampled_from("ab ,;\t\"'\n\ré−\\"), max_size=5), min_size=1, max_size=9))
def test_texts(folder, writer, texts):
    values = np.array([*texts, "x"], dtype=object)
    small, large = both(folder, [{"a,b\t": values, 'c"': np.arange(len(values))}] * 2, writer)
    assert small == large


def test_integers_and_no_rows(folder):
    columns = {
        "u": np.arange(3, dtype=np.uint32),
        "i": np.array([-1, 0, 2**62]),
        "b": np.array([True, False, True]),
    }
    nothing = {name: values[:0] for name, values in columns.items()}
    for parts in ([columns], [nothing], [nothing, columns], [{}]):
        small, large = both(folder, parts)
        assert small == large


def test_the_end_of_a_large_table_is_left_to_polars(folder, monkeypatch):
    part = {"a": np.linspace(1e-7, 1e7, 20).astype(np.float32)}
    monkeypatch.setattr(text, "SMALL", 600)
    mixed = written(folder / "t", CsvWriter, [part] * 4)
    assert mixed == both(folder, [part] * 4)[1]
