import os
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from objclass.errors import InputError, ObjclassError, UsageError
from objclass.evaluation.measurements import read_measurements


def frame(n=40):
    random = np.random.default_rng(0)
    classes = np.tile(["round", "long"], n // 2)
    return pd.DataFrame(
        {
            "image": np.repeat(["a", "b", "c", "d"], n // 4),
            "label": np.tile(np.arange(1, n // 4 + 1), 4),
            "class": classes,
            "class_number": np.where(classes == "long", 7, 3),
            "centroid-0": random.random(n),
            "centroid-1": random.random(n),
            "p_round": random.random(n),
            "area": random.random(n) + (classes == "long"),
            "mean intensity": random.random(n),
            "remark": "fine",
        }
    )


@pytest.fixture
def write(tmp_path):
    def write(table=None, name="t.csv", **how):
        table = frame() if table is None else table
        path = tmp_path / name
        if name.endswith("parquet"):
            import polars

            polars.DataFrame(table.to_dict("list")).write_parquet(path)
        elif name.endswith("xlsx"):
            table.to_excel(path, index=False)
        else:
            table.to_csv(path, index=False, **how)
        return str(path)

    return write


def test_features_are_what_is_neither_id_nor_position_nor_probability_nor_text(write):
    found = read_measurements(write())
    assert found.table.columns == ("area", "mean intensity")
    assert found.left_out == {
        "ids and places in the experiment": ("label",),
        "positions": ("centroid-0", "centroid-1"),
        "predictions and probabilities": ("p_round",),
        "text": ("remark",),
        "the class again": ("class_number",),
    }
    assert found.table.images == ("a", "b", "c", "d")
    assert found.table.names == ("long", "round")
    assert found.table.label.tolist() == frame()["label"].tolist()
    assert np.isfinite(found.table.center).all()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("t.csv", {"sep": ";", "decimal": ","}),
        ("t.tsv", {"sep": "\t"}),
        ("t.txt", {"encoding": "utf-8-sig"}),
        ("t.parquet", {}),
        ("t.xlsx", {}),
    ],
)
def test_kinds_of_files_hold_the_same_table(write, name, how):
    expected, found = read_measurements(write()).table, read_measurements(write(name=name, **how)).table
    assert found.columns == expected.columns
    assert found.names == expected.names
    assert np.allclose(found.rows, expected.rows)
    assert np.array_equal(found.classes, expected.classes)


def test_the_names_of_other_programs(write):
    table = frame().rename(
        columns={"image": "ImageNumber", "label": "ObjectNumber", "centroid-0": "AreaShape_Center_X"}
    )
    table["AreaShape_Center_Y"] = table["AreaShape_BoundingBoxMaximum_X"] = 3.5
    table["Location_Center_X"] = table["Bounding Box Minimum_0"] = table["Probability of round"] = 0.5
    table["AreaShape_Compactness"] = np.arange(len(table)) % 3
    found = read_measurements(write(table.drop(columns="centroid-1")))
    assert found.table.columns == ("area", "mean intensity", "AreaShape_Compactness")
    assert len(found.table.images) == 4


def test_columns_that_were_asked_for(write):
    found = read_measurements(write(), features=["area", "centroid-0"])
    assert found.table.columns == ("area", "centroid-0")
    found = read_measurements(write(), group_column="remark")
    assert (found.table.group_name, set(found.table.group)) == ("remark", {"fine"})


def test_rows_without_a_class_and_missing_values(write):
    table = frame()
    table["class"] = table["class"].astype(object)
    table.loc[:2, "class"] = None
    table.loc[3:4, "area"] = np.nan
    found = read_measurements(write(table))
    assert (found.unlabelled, found.missing, len(found.table)) == (3, 2, 37)
    assert found.table.rows[0, 0] == 0


def test_numbers_as_classes_are_in_their_order(write):
    table = frame()
    table["class"] = np.tile([10.0, 9.0, 2.0, 10.0], 10)
    assert read_measurements(write(table)).table.names == ("2", "9", "10")


def test_ids_that_are_not_unique_are_replaced_by_rows(write):
    table = frame()
    table["label"] = 1
    assert read_measurements(write(table)).table.label.tolist() == list(range(1, 41))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"class_column": "kind"}, UsageError, "--class_column kind: .* has the columns image, label, class"),
        ({"group_column": "slide"}, UsageError, "--group_column slide: .* has the columns"),
        ({"features": ["size"]}, UsageError, "--features size: .* has the columns"),
        ({"features": ["remark"]}, UsageError, "--features remark: it holds text: expected numbers"),
        ({"class_column": "remark"}, InputError, "has 1 classes there: expected 2 to 255"),
    ],
)
def test_refusals(write, options, error, says):
    with pytest.raises(error, match=says):
        read_measurements(write(), **options)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "cannot be read"),
        ("t.csv", b"\xff\xfeclass,area\n", "not UTF-8 text"),
        ("t.parquet", b"not one", "cannot be read"),
        ("t.xlsx", b"not one", "cannot be read"),
        ("t.ods", b"", "expected a name that ends in .csv, .tsv, .txt, .parquet, .xlsx"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((InputError, UsageError), match=says) as found:
        read_measurements(str(path))
    assert "\n" not in str(found.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_measurements(str(tmp_path / "none.csv"))


def test_no_measurement_at_all(write):
    with pytest.raises(InputError, match="none of its columns is a measurement"):
        read_measurements(write(frame()[["image", "class", "label"]]))


def test_text_is_checked_in_each_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"class,area\na,1\n\xff,2\n")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_measurements(str(path))


def test_a_byte_order_mark_and_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfclass;area\r\na;1,5\r\nb;2\r\n")
    found = read_measurements(str(path)).table
    assert (found.names, found.columns, found.rows.ravel().tolist()) == (("a", "b"), ("area",), [1.5, 2.0])


def test_workbooks_with_damaged_sheets_or_of_any_size_are_refused_in_one_line(tmp_path, write, monkeypatch):
    whole, damaged = write(name="t.xlsx"), tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content[: len(content) // 2] if "worksheets/" in name else content)
    with pytest.raises(InputError, match="damaged.xlsx cannot be read: .*expected a table"):
        read_measurements(str(damaged))
    monkeypatch.setattr("objclass.evaluation.measurements.MAXIMUM_WORKBOOK", 1000)
    with pytest.raises(InputError, match="when it is unpacked: expected at most"):
        read_measurements(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(ObjclassError, match="expected a file"):
        read_measurements(str(tmp_path / "t.csv"))
