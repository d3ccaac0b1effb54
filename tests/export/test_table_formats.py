"""Every format of tables: written by lanes, read back by the programs that people use."""

import csv
import gzip
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import combinations_with_replacement, pairwise

import h5py
import numpy as np
import pytest

from objclass import registry
from objclass.cli import main
from objclass.errors import OutputError, UsageError
from objclass.export.naming import ilastik_table, with_suffix
from objclass.export.tables import TableDetails, format_of, spool, table_refusal, writer_for
from objclass.export.tables.text import CSV
from objclass.pipeline.crops import ObjectImage
from tests.conftest import SAMPLES

SUFFIXES = [entry.suffix for entry in registry.table_formats()]
COMPRESSED = [suffix for suffix in SUFFIXES if suffix.endswith((".gz", ".zst"))]
ROUND = [suffix for suffix in SUFFIXES if suffix != ".h5"]

TEXTS = [
    'a "quoted" name',
    "comma, semicolon; tab\t",
    "two\nlines",
    "µm und Größe 细胞 🔬",
    "",
    "=1+1",
    "-x",
    "'",
]


def lane(rows, start=0, text="lane"):
    """Columns of every kind."""
    rng = np.random.default_rng(start)
    values = rng.normal(size=rows)
    values[1:2], values[2:3], values[3:4] = math.nan, math.inf, -math.inf
    return {
        "label": np.arange(start, start + rows, dtype=np.uint32),
        "object_id": np.arange(rows) - 2,
        "mean, of µm": values.astype(np.float32),
        "exact": values,
        "is_edge": np.arange(rows) % 2 == 0,
        "Class": np.array([TEXTS[k % len(TEXTS)] for k in range(rows)], dtype=object),
        "Image": np.full(rows, text, dtype=object),
    }


LANES = [lane(9), lane(0, 50, "nothing"), lane(5, 100, "lane, the 2nd")]


def whole(parts):
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write(path, parts=LANES, **details):
    """What a run does: each lane is flushed and marked but the last."""
    library(path.name)
    file = writer_for(str(path))(str(path), TableDetails(**details))
    for part in parts[:-1]:
        file.append(part)
        file.flush()
        file.mark()
    file.append(parts[-1])
    file.close()
    return path


def library(name):
    """Skip where the library of a format is not installed."""
    entry = format_of(name)
    if entry.extra:
        pytest.importorskip({"xlsx": "xlsxwriter", "zstd": "objclass.export.tables.zstd"}[entry.extra])


def unpacked(path):
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    import imagecodecs

    return imagecodecs.zstd_decode(path.read_bytes())


def check(found, parts=LANES, *, exact=True, text=None, finite=False):
    """Compare with what was written: numbers, text, and their types.

    ``exact``: to the last bit of float64, which pandas does not read from text. ``finite``: the format has
    no infinite values. ``text``: what is read of a text.
    """
    expected = whole(parts)
    assert list(found) == list(expected)
    for name, values in expected.items():
        got = np.asarray(found[name])
        if values.dtype.kind == "O":
            wanted = [text(value) for value in values] if text else values.tolist()
            assert list(found[name]) == wanted, name
        elif values.dtype.kind == "f":
            assert got.dtype.kind == "f", name
            wanted = np.where(np.isfinite(values), values, np.nan) if finite else values
            if exact or values.dtype == np.float32:
                assert np.array_equal(got.astype(values.dtype), wanted, equal_nan=True), name
            else:
                assert np.allclose(got, wanted, rtol=1e-15, atol=0, equal_nan=True), name
        else:
            assert got.dtype.kind == ("b" if values.dtype.kind == "b" else got.dtype.kind), name
            assert got.dtype.kind in "biu", name
            assert np.array_equal(got, values), name


def by_pandas(path, **options):
    pandas = pytest.importorskip("pandas")
    if path.name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
        frame = pandas.read_excel(
            path, keep_default_na=False, na_values={n: [""] for n in ("mean, of µm", "exact")}
        )
    elif path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        frame = pandas.read_parquet(path)
    else:
        if path.suffix == ".zst":
            pytest.importorskip("zstandard")
        separator = "\t" if ".tsv" in path.name else ","
        frame = pandas.read_csv(path, sep=separator, keep_default_na=False, na_values={n: [""] for n in ("mean, of µm", "exact")}, **options)  # fmt: skip
    return {name: frame[name].to_numpy() for name in frame}


@pytest.mark.parametrize("suffix", ROUND)
def test_pandas_reads_it(tmp_path, suffix):
    is_binary = suffix == ".parquet"
    check(by_pandas(write(tmp_path / f"t{suffix}")), exact=is_binary, finite=not is_binary)


@pytest.mark.parametrize("suffix", [s for s in ROUND if s != ".xlsx"])
def test_polars_reads_it(tmp_path, suffix):
    polars = pytest.importorskip("polars")
    path = write(tmp_path / f"t{suffix}")
    if suffix == ".parquet":
        frame = polars.read_parquet(path)
        assert frame.schema["label"] == polars.UInt32
        assert frame.schema["mean, of µm"] == polars.Float32
    else:
        separator = "\t" if ".tsv" in suffix else ","
        frame = polars.read_csv(path, separator=separator).with_columns(
            polars.col(polars.String).fill_null("")
        )
    found = {name: frame[name].to_list() if frame[name].dtype == polars.String else frame[name].to_numpy() for name in frame.columns}  # fmt: skip
    check(found, finite=suffix != ".parquet")


def test_h5py_reads_it(tmp_path):
    with h5py.File(write(tmp_path / "t.h5")) as file:
        table = file["table"][()]
    assert table.dtype["label"] == np.uint32
    found = {
        n: [v.decode() for v in table[n]] if table.dtype[n].kind == "S" else table[n]
        for n in table.dtype.names
    }
    check(found)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst", ".tsv", ".parquet"])
def test_duckdb_reads_it(tmp_path, suffix):
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    path = write(tmp_path / f"t{suffix}")
    source = (
        f"'{path}'"
        if suffix == ".parquet"
        else f"read_csv('{path}', header = true, quote = '\"', escape = '\"')"
    )
    found = duckdb.sql(f"SELECT * FROM {source}").fetchnumpy()
    assert list(found) == list(LANES[0])
    kinds = "".join(np.ma.getdata(found[name]).dtype.kind for name in list(found)[:4])
    assert set(kinds[:2]) <= set("iu")
    assert kinds[2:] == "ff"
    expected = whole(LANES)
    assert np.array_equal(np.ma.getdata(found["label"]), expected["label"])
    values = np.ma.filled(found["exact"], math.nan)
    known = np.isfinite(expected["exact"])
    assert np.array_equal(values[known], expected["exact"][known])
    assert [text or "" for text in np.ma.filled(found["Class"], "")] == expected["Class"].tolist()


R = """
t <- read.csv(commandArgs(TRUE)[1], check.names = FALSE)
cat(sapply(t, class), nrow(t), sum(t$label), sum(is.na(t$exact)), sum(nchar(t$Class)), sep = "\\n")
"""


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_r_reads_it(tmp_path, suffix):
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("R is not installed")
    path, expected = write(tmp_path / f"t{suffix}"), whole(LANES)
    done = subprocess.run([program, "-e", R, path], capture_output=True, text=True, check=True)
    kinds = ["integer", "integer", "numeric", "numeric", "character", "character", "character"]
    characters = sum(map(len, expected["Class"]))
    numbers = [14, expected["label"].sum(), (~np.isfinite(expected["exact"])).sum(), characters]
    assert done.stdout.split("\n")[:11] == [*kinds, *map(str, numbers)]


@pytest.mark.slow  # four seconds each
@pytest.mark.parametrize(
    ("name", "dialect", "settings"),
    [
        ("t.csv", "standard", "44,34,76,1"),  # separator, quotes, UTF-8, first line
        ("t.csv", "excel", "44,34,76,1"),
        ("t.csv", "excel-eu", "59,34,76,1,,1031"),  # in German
        ("t.xlsx", "excel", ""),
    ],
)
def test_libreoffice_reads_it(tmp_path, name, dialect, settings):
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.skip("LibreOffice is not installed")
    path = write(tmp_path / name, dialect=dialect)
    kind = "Text - txt - csv (StarCalc)"
    read = [f"--infilter={kind}:{settings}"] if settings else []
    convert = ["--convert-to", f"tsv:{kind}:9,34,76,1,,1033", "--outdir", tmp_path / "out", path]
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    subprocess.run([program, "--headless", profile, *read, *convert], capture_output=True, check=True)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/t.tsv").read_text("utf-8")), delimiter="\t"))
    expected = whole(LANES)
    assert [int(row["label"]) for row in rows] == expected["label"].tolist()
    numbers = [float(row["exact"] or "nan") for row in rows]
    known = np.where(np.isfinite(expected["exact"]), expected["exact"], np.nan)
    assert np.allclose(numbers, known, rtol=1e-13, atol=0, equal_nan=True)
    wanted = expected["Class"].tolist()
    if dialect == "standard":  # which is why there are dialects
        assert wanted[5] == "=1+1"
        assert rows[5]["Class"] in ("2", "=1+1")  # newer versions ask before they run it
        return
    shown = [row["Class"] for row in rows]
    is_csv = name.endswith(".csv")
    assert shown == [f"'{text}" if is_csv and text.startswith(("=", "-")) else text for text in wanted]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("parts", [[lane(0)], [lane(0)] * 3, [lane(0), lane(4)]])
def test_lanes_without_objects_have_their_columns(tmp_path, suffix, parts):
    path = write(tmp_path / f"t{suffix}", parts)
    if suffix == ".h5":
        with h5py.File(path) as file:
            assert list(file["table"].dtype.names) == list(parts[0])
            assert len(file["table"]) == len(whole(parts)["label"])
        return
    found = by_pandas(path)
    assert list(found) == list(parts[0])
    assert len(found["label"]) == len(whole(parts)["label"])


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("small", [True, False])
def test_what_is_unpacked_is_the_same_as_without_compression(tmp_path, monkeypatch, suffix, small):
    if not small:
        monkeypatch.setattr("objclass.export.tables.compressed.SMALL", -1)
        monkeypatch.setattr(spool, "PART", 1)
    packed = write(tmp_path / f"t{suffix}")
    assert unpacked(packed) == write(tmp_path / f"t{suffix[:4]}").read_bytes()


def test_gzip_has_no_name_and_no_time(tmp_path):
    head = write(tmp_path / "t.csv.gz").read_bytes()[:10]
    assert head[3] == 0  # no field for a name
    assert head[4:8] == bytes(4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_rows_are_the_same_bytes(tmp_path, monkeypatch, suffix):
    one = write(tmp_path / f"a{suffix}")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert write(tmp_path / "other" / f"b{suffix}").read_bytes() == one.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_bytes_do_not_depend_on_how_rows_come(tmp_path, monkeypatch, suffix):
    """Lane by lane, or many together; in parts of any size; with types that differ from lane to lane."""
    monkeypatch.setattr(spool, "PART", 30_000)
    monkeypatch.setattr("objclass.export.tables.compressed.SMALL", -1)
    lanes = [lane(40, 40 * k) for k in range(60)]
    for columns in lanes[50:]:
        columns["label"] = columns["label"].astype(np.float64)
    together = [whole(lanes[:7]), whole(lanes[7:50]), whole(lanes[50:])]
    found = {
        write(tmp_path / f"{k}{suffix}", parts).read_bytes() for k, parts in enumerate([lanes, together])
    }
    assert len(found) == 1


def test_pictures_do_not_depend_on_lanes(tmp_path):
    rng = np.random.default_rng(0)
    shape, rows, found = (1, 1, 4, 9, 1), lane(50), set()
    pictures = [ObjectImage(np.ones(shape, np.uint8), rng.random(shape)) for _ in range(50)]
    for ends in ((), (3,), (1, 2, 3, 40, 41)):
        path = tmp_path / "t.h5"
        file = writer_for(str(path))(str(path), TableDetails())
        for start, end in pairwise((0, *ends, len(pictures))):
            file.append_pictures(pictures[start:end])
            file.append({name: values[start:end] for name, values in rows.items()})
            file.flush()
            file.mark()
        file.close()
        found.add(path.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_lane_that_fails_leaves_no_row(tmp_path, suffix):
    library(f"t{suffix}")
    expected = write(tmp_path / f"expected{suffix}", [LANES[0], LANES[2]]).read_bytes()
    path = tmp_path / f"t{suffix}"
    file = writer_for(str(path))(str(path), TableDetails())
    for part, is_good in (
        (LANES[0], True),
        (lane(3, 7, "a text that is longer than all others"), False),
        (LANES[2], True),
    ):
        file.append(part)
        if is_good:
            file.flush()
            file.mark()
        else:
            file.undo()
    file.close()
    assert path.read_bytes() == expected
    file.undo()  # from a closed file, as when it cannot be renamed
    file.close()
    assert path.read_bytes() == expected


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".csv", ".tsv")])
def test_rows_wait_on_the_disk(tmp_path, monkeypatch, suffix):
    """What is held at once is one lane or a part of bounded size, however many lanes there are."""
    library(f"t{suffix}")
    monkeypatch.setattr(spool, "PART", 4000)
    held, original = [], spool._joined

    def joined(part, types):
        columns = original(part, types)
        held.append(len(columns["label"]))
        return columns

    monkeypatch.setattr(spool, "_joined", joined)
    path = write(tmp_path / f"t{suffix}", [lane(20, 20 * k) for k in range(60)])
    assert path.stat().st_size > 0
    assert sum(held) == 1200
    assert max(held) <= 100
    assert len(held) > 10


def test_the_file_of_waiting_rows_has_no_name(tmp_path):
    file = writer_for("t.parquet")(str(tmp_path / "t.parquet"), TableDetails())
    file.append(lane(5))
    file.flush()
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    file.abort()


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool, "TemporaryFile", lambda **_: Full(tempfile.mkstemp(dir=tmp_path)[1], "r+"))
    file = writer_for("t.parquet")(str(tmp_path / "t.parquet"), TableDetails())
    with pytest.raises(OSError, match="No space left"):
        file.append(lane(5))
    monkeypatch.undo()
    file = writer_for("t.parquet")("/dev/full", TableDetails())
    file.append(lane(5))
    with pytest.raises(OSError, match="the table could not be written: .*No space left"):
        file.close()


def test_a_file_of_waiting_rows_that_cannot_be_closed_is_no_matter(tmp_path, monkeypatch, capfd):
    class Broken(io.FileIO):
        def close(self):
            super().close()
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(spool, "TemporaryFile", lambda **_: Broken(tempfile.mkstemp(dir=tmp_path)[1], "r+"))
    file = writer_for("t.csv.gz")(str(tmp_path / "t.csv.gz"), TableDetails())
    file.append(lane(5))
    file.close()
    del file
    assert capfd.readouterr().err == ""
    assert len(gzip.decompress((tmp_path / "t.csv.gz").read_bytes()).splitlines()) > 5


def test_parquet_has_row_groups_units_and_facts(tmp_path, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("objclass.export.tables.parquet.GROUP_ROWS", 40)
    monkeypatch.setattr(spool, "PART", 1)
    units, facts = {"exact": "um2", "not there": "px"}, {"objclass": "1.0", "classes": ["µ", "b"]}
    parts = [lane(30, 30 * k, f"image {k}") for k in range(5)]
    file = pq.ParquetFile(write(tmp_path / "t.parquet", parts, units=units, facts=facts))
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [40, 40, 40, 30]
    assert json.loads(file.metadata.metadata[b"objclass"]) == {"units": {"exact": "um2"}, **facts}
    texts = [file.metadata.row_group(0).column(file.schema.names.index(name)) for name in ("Class", "Image")]
    assert all("RLE_DICTIONARY" in text.encodings for text in texts)
    check({name: file.read()[name].to_pylist() if name in ("Class", "Image") else file.read()[name].to_numpy() for name in parts[0]}, parts)  # fmt: skip


@pytest.mark.slow
def test_parquet_does_not_depend_on_threads(tmp_path):
    script = (
        "import sys; from tests.export.test_table_formats import *; from pathlib import Path;"
        "write(Path(sys.argv[1]), [lane(4000, 4000 * k) for k in range(40)])"
    )
    found = []
    for threads in ("1", "4"):
        path = tmp_path / f"{threads}.parquet"
        subprocess.run([sys.executable, "-c", script, path], check=True, env={**os.environ, "POLARS_MAX_THREADS": threads})  # fmt: skip
        found.append(hashlib.sha256(path.read_bytes()).digest())
    assert found[0] == found[1]


def test_the_types_of_lanes_are_joined(tmp_path):
    parts = [{"id": np.arange(2, dtype=np.uint8), "v": np.ones(2, np.float32)}, {"id": np.arange(2) + 2**40, "v": np.ones(2)}]  # fmt: skip
    import polars

    frame = polars.read_parquet(write(tmp_path / "t.parquet", parts))
    assert frame["id"].to_list() == [0, 1, 2**40, 2**40 + 1]
    with h5py.File(write(tmp_path / "t.h5", parts)) as file:
        assert file["table"].dtype["id"] == np.int64


# xlsx


def book(path):
    return pytest.importorskip("openpyxl").load_workbook(path)


def test_xlsx_has_no_formulas(tmp_path):
    texts = ["=1+1", "+1", "-1", "@x", "{=1}", "https://example.org", "=cmd|' /C calc'!A0"]
    part = {"=A1": np.array(texts, object), "n": np.arange(len(texts))}
    sheet = book(write(tmp_path / "t.xlsx", [part])).active
    assert [(cell.value, cell.data_type, cell.hyperlink) for cell in sheet["A"]] == [
        (text, "s", None) for text in ["=A1", *texts]
    ]
    assert {cell.data_type for cell in sheet["B"][1:]} == {"n"}


def test_xlsx_keeps_large_ids(tmp_path):
    ids = np.array([1, 2**60 + 1], np.uint64)
    sheet = book(write(tmp_path / "t.xlsx", [{"id": ids, "v": np.float32([0.1, 1e-30])}])).active
    assert [cell.value for cell in sheet["A"][1:]] == [1, str(2**60 + 1)]
    assert [cell.value for cell in sheet["B"][1:]] == [0.1, 1e-30]  # as in CSV, not 0.10000000149


def test_more_rows_than_a_worksheet_has_continue_in_the_next(tmp_path, monkeypatch, caplog):
    library("t.xlsx")
    monkeypatch.setattr("objclass.export.tables.xlsx.MAXIMUM_ROWS", 8)
    sheets = book(write(tmp_path / "t.xlsx", [lane(9), lane(0), lane(6, 100)])).worksheets
    assert [sheet.title for sheet in sheets] == ["objects", "objects 2", "objects 3"]
    rows = [[cell.value for cell in sheet["A"]] for sheet in sheets]
    assert [column[0] for column in rows] == ["label"] * 3
    assert [value for column in rows for value in column[1:]] == [*range(9), *range(100, 106)]
    assert (
        "15 rows are more than a worksheet can have (7): they continue in the worksheets 'objects 2'"
        in caplog.text
    )
    caplog.clear()
    assert len(book(write(tmp_path / "t.xlsx", [lane(7)])).worksheets) == 1
    assert not caplog.text


def test_what_a_worksheet_cannot_hold_is_refused(tmp_path):
    library("t.xlsx")
    assert table_refusal("t.xlsx", [f"c{k}" for k in range(16_384)]) is None
    refusal = table_refusal("t.xlsx", [f"c{k}" for k in range(16_385)])
    assert (
        refusal == "t.xlsx: 16385 columns are more than a worksheet can have (16,384): write .csv or .parquet"
    )
    file = writer_for("t.xlsx")(str(tmp_path / "t.xlsx"), TableDetails())
    with pytest.raises(OutputError, match="column 'Image': a text has more characters than a cell"):
        file.append(lane(1, text="x" * 32_768))


# CSV for spreadsheets


def test_dialects_of_csv(tmp_path):
    part = {
        "a;b": np.array(["x;y", "x,y"], object),
        "v": np.array([1.5, math.nan]),
        "w": np.float32([-2.5e-9, 1e20]),
    }
    found = {name: write(tmp_path / "t.csv", [part], dialect=name).read_bytes() for name in CSV}
    assert found["standard"] == b'a;b,v,w\nx;y,1.5,-2.5e-9\n"x,y",,1e+20\n'
    assert found["excel"] == b"\xef\xbb\xbf" + found["standard"]
    assert found["excel-eu"] == b'\xef\xbb\xbf"a;b";v;w\n"x;y";1,5;-2,5e-9\nx,y;;1e+20\n'


@pytest.mark.parametrize("dialect", CSV)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.zst"])
def test_dialects_do_not_depend_on_sizes(tmp_path, monkeypatch, dialect, suffix):
    small = write(tmp_path / f"t{suffix}", dialect=dialect)
    content = small.read_bytes() if suffix == ".csv" else unpacked(small)
    assert content == write(tmp_path / "t.csv", dialect=dialect).read_bytes()
    for module in ("text", "compressed"):
        monkeypatch.setattr(f"objclass.export.tables.{module}.SMALL", -1)
    large = write(tmp_path / f"large{suffix}", dialect=dialect)
    assert (large.read_bytes() if suffix == ".csv" else unpacked(large)) == content


@pytest.mark.parametrize(("dialect", "options"), [("excel", {}), ("excel-eu", {"sep": ";", "decimal": ","})])
def test_pandas_reads_the_dialects(tmp_path, dialect, options):
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(
        write(tmp_path / "t.csv", dialect=dialect), keep_default_na=False, na_values={n: [""] for n in ("mean, of µm", "exact")}, **options
    )  # fmt: skip
    formulas = {"=1+1": "'=1+1", "-x": "'-x"}
    check(
        {name: frame[name].to_numpy() for name in frame},
        exact=False,
        finite=True,
        text=lambda text: formulas.get(text, text),
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_formulas_are_defused_for_spreadsheets_only(tmp_path, start):
    part = {
        f"{start}A": np.array([f"{start}1", f"a{start}", "", start], object),
        "n": np.array([-1, -2, -3, -4]),
    }
    rows = {}
    for dialect in CSV:
        text = write(tmp_path / "t.csv", [part], dialect=dialect).read_bytes().decode("utf-8-sig")
        rows[dialect] = list(csv.reader(io.StringIO(text, newline=""), delimiter=CSV[dialect].separator))
    plain = [f"{start}A", f"{start}1", f"a{start}", "", start]
    assert [row[0] for row in rows["standard"]] == plain
    defused = [f"'{start}A", f"'{start}1", f"a{start}", "", f"'{start}"]
    assert [row[0] for row in rows["excel"]] == [row[0] for row in rows["excel-eu"]] == defused
    assert [row[1] for row in rows["excel-eu"]] == ["n", "-1", "-2", "-3", "-4"]  # numbers are no text


def test_the_options_are_the_dialects():
    from objclass.cli.headless import TableOptions

    (field,) = (f for f in TableOptions.__dataclass_fields__.values() if f.name == "csv_dialect")
    assert tuple(field.metadata["choices"]) == tuple(CSV)


# names


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_of_two_parts(suffix):
    assert format_of(f"out/cells.1{suffix.upper()}").suffix == suffix
    assert with_suffix(f"a.b{suffix}", ".png") == "a.b.png"
    assert ilastik_table(f"a.b{suffix}") == (f"a.b_table{suffix}" if suffix != ".h5" else "a.b.h5")


@pytest.mark.parametrize("name", ["cells.gz", "cells.tar.gz", ".csv.gz", "cells", "csv"])
def test_other_suffixes_are_refused(name):
    with pytest.raises(UsageError, match=r"expected a name that ends in \.csv, \.csv\.gz, \.csv\.zst"):
        format_of(name)


@pytest.mark.parametrize(("suffix", "module"), [(".xlsx", "xlsxwriter"), (".csv.zst", "backports")])
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, capsys, suffix, module):
    entry = format_of(f"t{suffix}")
    for name in [m for m in sys.modules if m.split(".")[0] in (module, "compression")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, str(entry.writer).partition(":")[0], raising=False)
    for name in (module, "compression"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.chdir(tmp_path)
    code = main(["--headless", "--label_image", f"{SAMPLES}/cells_segmentation.tif", "--table_only", "--table_filename", f"t{suffix}"])  # fmt: skip
    assert code == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f'pip install "objclass[{entry.extra}]"' in error
    assert list(tmp_path.iterdir()) == []


# runs


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Three label images, the second without objects."""
    import tifffile

    folder = tmp_path_factory.mktemp("images")
    labels = np.zeros((40, 60), np.uint16)
    labels[2:9, 3:9], labels[20:30, 10:14], labels[33:38, 40:58] = 7, 3, 12
    for name, image in {"a": labels, "b": np.zeros_like(labels), "c": labels[::-1, ::-1]}.items():
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


def run(images, table, *options, names="abc"):
    inputs = ["--label_image", *(str(images / f"{name}.tif") for name in names), "--features", "regionprops:area", "regionprops:centroid"]  # fmt: skip
    return main(["--headless", "--quiet", "--table_only", *inputs, "--table_filename", str(table), *options])


NUMBERS = [np.dtype(code).str for code in "?bBhHiIqQefd"]
"""Types of columns of numbers."""


def test_the_type_of_a_column_depends_on_no_grouping():
    """The type of types of parts of a table is that of the whole table."""
    for three in combinations_with_replacement(NUMBERS, 3):
        whole = spool.common_type(three)
        for alone in three:
            rest = list(three)
            rest.remove(alone)
            assert spool.common_type([alone, spool.common_type(rest).str]) == whole, (alone, rest)
    for two in combinations_with_replacement(NUMBERS, 2):
        mixed = {np.dtype(kind).kind in "iu" for kind in two} == {True, False}
        usual = np.result_type(*map(np.dtype, two))
        assert spool.common_type(two) == (np.float64 if mixed and usual.kind == "f" else usual)
    assert spool.common_type(["S2", "S7"]) == "S7"


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_a_table_of_parts_has_the_types_of_a_whole_one(tmp_path, suffix):
    library(f"t{suffix}")
    lanes = [{"number": np.arange(3, dtype=code)} for code in ("i1", "u2", "f4")]

    def write(name, lanes):
        writer = writer_for(f"t{suffix}")(str(tmp_path / f"{name}{suffix}"))
        for lane in lanes:
            writer.append(lane)
        writer.close()
        return str(tmp_path / f"{name}{suffix}")

    whole = write("whole", lanes)
    for cut in (1, 2):
        parts = [write("a", lanes[:cut]), write("b", lanes[cut:])]
        merged = tmp_path / f"merged{suffix}"
        writer_for(whole).merge(parts, str(merged))
        with open(whole, "rb") as file:
            assert merged.read_bytes() == file.read(), cut


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("names", [pytest.param("ac", marks=pytest.mark.slow), "abc", "bb"])
def test_runs_write_it(images, tmp_path, monkeypatch, suffix, names):
    library(f"t{suffix}")
    if names == "bb":
        shutil.copytree(images, tmp_path / "images")
        shutil.copy(images / "b.tif", tmp_path / "images/d.tif")
        images, names = tmp_path / "images", "bd"
    digests = set()
    for jobs in ("1", "2"):
        table = tmp_path / jobs / f"t{suffix}"
        assert run(images, table, "--jobs", jobs, names=names) == 0
        digests.add(hashlib.sha256(table.read_bytes()).hexdigest())
        assert sorted(path.name for path in table.parent.iterdir()) == ["objclass_run.json", f"t{suffix}"]
    assert len(digests) == 1
    assert run(images, tmp_path / "t.csv", names=names) == 0
    with (tmp_path / "t.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert Counter(row["Image"] for row in expected) == {name: 3 for name in names if name in "ac"}
    if suffix == ".h5":
        with h5py.File(table) as file:
            found = file["table"][()]
        assert found["labelimage_oid"].tolist() == [int(row["labelimage_oid"]) for row in expected]
        return
    found = by_pandas(table)
    assert list(found) == list(expected[0]) if expected else "labelimage_oid" in found
    for name in ("labelimage_oid", "original_oid", "timestep"):
        assert found[name].tolist() == [int(row[name]) for row in expected]
    assert found["area"].tolist() == [float(row["area"]) for row in expected]
    assert list(found["Image"]) == [row["Image"] for row in expected]


def test_a_project_of_classes_in_every_format(tmp_path):
    """Types of the columns of a classified table, with the same float32 values as in CSV."""
    import polars

    cells = ["--project", f"{SAMPLES}/cells.ilp", "--raw_data", f"{SAMPLES}/cells.tif", "--segmentation_image", f"{SAMPLES}/cells_segmentation.tif"]  # fmt: skip
    for suffix in (".csv", ".parquet", ".csv.gz"):
        assert (
            main(
                ["--headless", "--quiet", *cells, "--table_only", "--table_filename", f"{tmp_path}/t{suffix}"]
            )
            == 0
        )
    expected, found = polars.read_csv(tmp_path / "t.csv"), polars.read_parquet(tmp_path / "t.parquet")
    assert unpacked(tmp_path / "t.csv.gz") == (tmp_path / "t.csv").read_bytes()
    assert expected.columns == found.columns
    assert found.schema["Predicted Class"] == polars.String
    assert found.schema["labelimage_oid"].is_integer()
    for name in found.columns:
        if found[name].dtype == polars.Float32:
            assert np.array_equal(
                expected[name].cast(polars.Float32).to_numpy(), found[name].to_numpy(), equal_nan=True
            )
        else:
            assert expected[name].to_list() == [
                str(v) if expected[name].dtype == polars.String else int(v) for v in found[name]
            ]
    described = json.loads(polars.read_parquet_metadata(tmp_path / "t.parquet")["objclass"])
    assert described["project"] == "cells.ilp"
    assert described["units"]["Size in pixels"] == "px"
    assert set(described["classes"]) >= set(found["Predicted Class"])


def test_a_run_that_ends_early_names_the_partial_table(images, tmp_path, monkeypatch, capsys):
    """The suffix stays at the end, so that programs still know what it is."""
    from objclass.export.files import _partial_name

    for name in ("t.csv.gz", "t.1.parquet", "t.n5"):
        (tmp_path / name).touch()
    found = [
        _partial_name(str(tmp_path / name)).rpartition("/")[2] for name in ("t.csv.gz", "t.1.parquet", "t.n5")
    ]
    assert found == ["t.partial.csv.gz", "t.1.partial.parquet", "t.partial.n5"]


@pytest.mark.parametrize(("table", "summary"), [("t.parquet", None), ("t.tsv", None), ("t.h5", "s.tsv")])
def test_a_dialect_without_csv_is_refused(images, tmp_path, monkeypatch, capsys, table, summary):
    monkeypatch.chdir(tmp_path)
    more = ["--summary_filename", summary] if summary else []
    assert run(images, table, "--csv_dialect", "excel", *more) == 2
    error = capsys.readouterr().err.strip()
    written = ", ".join(filter(None, (table, summary)))
    assert f"--csv_dialect excel: {written} is written: expected a table in .csv, .csv.gz, .csv.zst" in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_the_dialect_is_that_of_all_csv_of_a_run(images, tmp_path):
    summary = tmp_path / "s.csv"
    assert (
        run(images, tmp_path / "t.parquet", "--csv_dialect", "excel-eu", "--summary_filename", str(summary))
        == 0
    )
    assert summary.read_bytes().startswith(b"\xef\xbb\xbfimage;frame;object_count;")
    assert run(images, tmp_path / "t.csv.gz", "--csv_dialect", "excel-eu") == 0
    lines = unpacked(tmp_path / "t.csv.gz").decode("utf-8-sig").splitlines()
    assert lines[0].startswith("object_id;timestep;labelimage_oid;")
    assert "24,5" in lines[2]
