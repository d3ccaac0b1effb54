"""Projects damaged at random: opening one succeeds, or says in one line what is wrong.

    python tests/fuzz_projects.py [--count 10000] [--seed 0] [--seconds 10] [--megabytes 1024] PROJECT…

Every trial damages a copy of a project, in its structure (by h5py) or its bytes, and opens it in a child
process as the program does: `open_project`, its features, a prediction of rows of zeros, and
`inspect_project` with what the command line prints of it. The child may succeed or raise an
`ObjclassError` of one line. Any other exception, a crash, too much time or memory is a finding. The
exit code is 1 if there was one. ``--seed S --only N PROJECT`` repeats it; ``--keep FOLDER`` keeps its file.
"""

# ruff: noqa: E402 (numpy reads its number of threads when it is imported)

import os

for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import json
import pickle
import pickletools
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from glob import glob
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import h5py
import numpy as np

from objclass.cli.inspect import _lines
from objclass.errors import ObjclassError
from objclass.forest import LEAF
from objclass.project.ilp_inspect import inspect_project
from objclass.project.ilp_values import WORKFLOW_CLASSES
from objclass.project.model import WORKFLOWS
from objclass.project.open import open_project
from tests.trials import Subject, attempt, check_one_line, damage_bytes, options_of, run

WIDEST = 100_000
"""Rows of more columns are not predicted: `Project.check_columns` refuses their images."""

NUMBERS = [
    float("nan"), float("inf"), float("-inf"), -1, 0, 1, 2, 3, 7, 0.5, -0.5, 100, 255, 256, 1e-320, 1e308, -1e308,
    2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, -(2**31), -(2**63), LEAF, LEAF + 1,
]  # fmt: skip
TEXTS = [
    b"", b" ", b"\n", b"one\ntwo\r\nthree", b"nan", b"-1", b"1e999", b"\xff\xfe\x80", b"\xc3\xa4", b"\x1b[31m",
    b"a" * 100_000, b"[" * 100_000, b"9" * 5000, b"{}", b"[]", b"null", b'{"axes": 3}', b'{"axes": [{"key": 1}]}',
    b'{"axes": [{"key": "x"}, {"key": "x"}]}', b'{"axes": [{}]}', b"xyz", b"%s%n{0}", b"../../../..", b"/", b".",
    b"*", b"/*/*/*/*/*/*/*.none", b"/**/**/**/*", b"[", b"a.h5/b/c", b"a:b:c", b"C:\\x\\y.png", b"$HOME", b"~",
    *(name.encode() for name in WORKFLOWS), *(name.encode() for name in WORKFLOW_CLASSES),
]  # fmt: skip
NAMES = [
    b"x", b"0", b"1", b"Forest0000", b"Forest0001", b"Tree_0", b"Count", b"Mean", b"a\nb", b"\xff\xfe", b"a" * 60_000,
    b"Coord< Minimum >", b"Mean in neighborhood", b"<", b"Default features", b"infos", b"lane0000", b"topology", b"-1",
    b"99999999999999999999", b" ", b"\xc3\xa4", b"pickled_type", b"pickled_classifier", b"margin", b"isEmpty",
    b"Standard Object Features", b"2D Skeleton Features", b"Raw Data", b"Prediction Maps", b"\x1b[31m",
]  # fmt: skip
TYPES = [
    "i1", "u1", "<i2", ">i4", "<u4", "<i8", ">u8", "<f2", ">f4", "<f8", "<c16", "?", "S1", "S7", "V5",
    [("a", "<i4"), ("b", "<f8")], ("<f8", (2, 2)), h5py.string_dtype(), h5py.string_dtype("utf-8", 5),
    h5py.vlen_dtype(np.dtype("<i4")), h5py.enum_dtype({"a": 0, "b": 1}), h5py.ref_dtype, h5py.regionref_dtype,
]  # fmt: skip
SHAPES = [
    (0,), (1,), (2,), (3,), (255,), (256,), (1, 1), (0, 3), (3, 0), (300, 3), (1,) * 32, (1000, 1000), (1 << 20,),
    (1 << 21,), (1 << 24,), (1 << 25,), (1 << 26,), (1 << 28,), (1 << 29,), (1 << 31,), (1 << 40,), (1 << 62,),
    (1 << 31, 1 << 31), (1 << 20, 1 << 20, 1 << 20), (1 << 24, 3), (1 << 22, 4),
]  # fmt: skip


# ---------------------------------------------------------------------- structure


def odd_value(rng: Random) -> Any:
    """Anything that HDF5 can hold."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return np.array(rng.choice(NUMBERS), "f8")
    if kind == 2:
        return np.array([rng.choice(NUMBERS) for _ in range(rng.randrange(5))], "f8")
    if kind == 3:
        return cast(
            [rng.choice(NUMBERS) for _ in range(rng.randrange(1, 5))], np.dtype(rng.choice("iuf") + "8")
        )
    if kind == 4:
        return h5py.Empty(rng.choice(["f8", "i4", "S5"]))
    return np.array([rng.choice(TEXTS)[:50] for _ in range(rng.randrange(1, 400))], "S50")


def cast(numbers: list[Any], dtype: np.dtype[Any]) -> Any:
    """Numbers of a dtype; what does not fit is wrapped, whatever does not count is 0."""
    if dtype.kind in "iu":
        bits = 8 * dtype.itemsize
        whole = [int(n) % (1 << bits) if np.isfinite(n) else 0 for n in numbers]
        return np.array(whole, f"u{dtype.itemsize}").astype(f"{dtype.kind}{dtype.itemsize}").astype(dtype)
    with np.errstate(all="ignore"):
        return np.array(numbers, "f8").astype(dtype)


def put(file: h5py.File, path: str, value: Any) -> None:
    if path in file:
        del file[path]
    file[path] = value


def beside(path: str, name: bytes) -> bytes:
    return b"/".join([*path.encode().split(b"/")[:-1], name.replace(b"/", b"_")])


def delete(file: h5py.File, rng: Random, path: str) -> str:
    del file[path]
    return f"delete {path}"


def rename(file: h5py.File, rng: Random, path: str) -> str:
    name = rng.choice(NAMES)
    file.move(path.encode(), beside(path, name))
    return f"rename {path} to {name[:40]!r}"


def duplicate(file: h5py.File, rng: Random, path: str) -> str:
    name = rng.choice(NAMES)
    file[beside(path, name)] = file[path]
    return f"link {path} as {name[:40]!r} too"


def crowd(file: h5py.File, rng: Random, path: str) -> str:
    """Many members."""
    group = file[path] if isinstance(file[path], h5py.Group) else file[path].parent
    count = rng.choice([10, 300, 3000])
    same = rng.choice([None, *group]) if len(group) else None
    for number in range(count):
        group[f"{number:05d}"] = h5py.SoftLink("nowhere") if same is None else group[same]
    return f"{count} members {same} in {group.name}"


def as_group(file: h5py.File, rng: Random, path: str) -> str:
    del file[path]
    group = file.create_group(path)
    for name in rng.sample(NAMES, rng.randrange(3)):
        group[name.replace(b"/", b"_")] = odd_value(rng)
    return f"{path} a group"


def as_dataset(file: h5py.File, rng: Random, path: str) -> str:
    value = odd_value(rng)
    put(file, path, value)
    return f"{path} = {str(value)[:60]!r}"


def poke(file: h5py.File, rng: Random, path: str) -> str:
    """Other values of the same type."""
    dataset = file[path]
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iufb" or not dataset.size:
        return as_dataset(file, rng, path)
    values = np.atleast_1d(dataset[()]).copy()
    flat, count = values.ravel(), rng.choice([1, 1, 2, 5, values.size])
    for place in rng.sample(range(flat.size), min(count, flat.size, 1000)):
        nearby = float(flat[rng.randrange(flat.size)]) + rng.choice([-1, 0, 1])
        flat[place] = cast([rng.choice([*NUMBERS, nearby, nearby])], flat.dtype)[0]
    put(file, path, flat.reshape(dataset.shape))
    return f"poke {count} in {path}"


def retype(file: h5py.File, rng: Random, path: str) -> str:
    dataset = file[path]
    dtype = np.dtype(rng.choice(TYPES))
    shape = dataset.shape if isinstance(dataset, h5py.Dataset) else rng.choice(SHAPES[:10])
    old = dataset[()] if isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "iufS" else None
    del file[path]
    new = file.create_dataset(path, shape, dtype)
    if old is not None and rng.random() < 0.7:
        try:
            with np.errstate(all="ignore"):
                new[...] = np.asarray(old).astype(dtype)
        except (TypeError, ValueError, OSError):
            pass
    return f"{path} of type {dtype}"


def reshape(file: h5py.File, rng: Random, path: str) -> str:
    dataset = file[path]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        return as_dataset(file, rng, path)
    values = np.atleast_1d(dataset[()])
    way = rng.choice(["[:0]", "[:-1]", "[1:]", "[None]", "[::-1]", "twice", "flat", "long", "scalar"])
    if way == "twice":
        values = np.concatenate([values, values])
    elif way == "flat":
        values = values.ravel()
    elif way == "long":
        values = np.resize(values, rng.choice([256, 5000, 100_000]))
    elif way == "scalar":
        values = values.ravel()[:1].reshape(())
    else:
        values = eval(f"values{way}")
    dtype = dataset.dtype
    del file[path]
    file.create_dataset(path, data=values, dtype=dtype)
    return f"{path} {way}"


def claim(file: h5py.File, rng: Random, path: str) -> str:
    """A shape that nothing was ever written for."""
    was = file[path]
    shape = rng.choice(SHAPES)
    own = was.dtype if isinstance(was, h5py.Dataset) and was.dtype.kind in "iufSb" else None
    dtype = own if own is not None and rng.random() < 0.6 else np.dtype(rng.choice(TYPES[:15]))
    fill = cast([rng.choice(NUMBERS)], dtype)[0] if dtype.kind in "iuf" else None
    if dtype.kind == "S":
        fill = rng.choice([b"N", b"a", b"("])
    del file[path]
    chunks = tuple(min(n, 1024) for n in shape) if len(shape) < 3 else True
    file.create_dataset(
        path, shape, dtype, chunks=chunks if all(shape) else None, fillvalue=fill,
        compression=rng.choice([None, "gzip"]) if all(shape) else None,
    )  # fmt: skip
    return f"{path} claims {shape} of {dtype}, filled with {fill}"


def attribute(file: h5py.File, rng: Random, path: str) -> str:
    attributes = file[path].attrs
    present = sorted(attributes)
    if present and rng.random() < 0.5:
        name = rng.choice(present)
        del attributes[name]
        return f"delete attribute {name} of {path}"
    name = rng.choice([*present, "isEmpty", "version", "vigra_random_forest_version", "axistags"])
    value = odd_value(rng)
    value = value[:1000] if isinstance(value, bytes | np.ndarray) and np.ndim(value) == 1 else value
    attributes[name] = value
    return f"attribute {name} of {path} = {str(value)[:40]!r}"


def relink(file: h5py.File, rng: Random, path: str) -> str:
    parent = path.rpartition("/")[0] or "/"
    to = rng.choice([
        h5py.SoftLink("/nowhere/at/all"), h5py.SoftLink(f"/{path}"), h5py.SoftLink("."), h5py.SoftLink(parent),
        h5py.ExternalLink("nowhere.h5", "/"), h5py.ExternalLink(file.filename, f"/{path}"),
        h5py.ExternalLink("/dev/null", "/"), h5py.ExternalLink(".", "/"), file[parent], file["/"],
    ])  # fmt: skip
    del file[path]
    file[path] = to
    return f"{path} links {getattr(to, 'path', getattr(to, 'name', to))} ({type(to).__name__})"


def cycle(file: h5py.File, rng: Random, path: str) -> str:
    del file[path]
    file[path] = h5py.SoftLink("/other way round")
    file["other way round"] = h5py.SoftLink(f"/{path}")
    return f"{path} a circle of links"


def swap(file: h5py.File, rng: Random, path: str) -> str:
    other = rng.choice(sorted(paths_of(file)))
    one, two = file[path], file[other]
    if path == other or one.name.startswith(two.name + "/") or two.name.startswith(one.name + "/"):
        return "nothing"
    del file[path]
    del file[other]
    file[path], file[other] = two, one
    return f"swap {path} and {other}"


GENERAL = [
    delete, rename, duplicate, crowd, as_group, as_dataset, poke, retype, reshape, claim, attribute, relink, cycle,
    swap,
]  # fmt: skip


# ---------------------------------------------------------------------- what is known of the layout


def forest_of(file: h5py.File) -> h5py.Group | None:
    forests = file.get("ObjectClassification/ClassifierForests")
    return forests.get("Forest0000") if isinstance(forests, h5py.Group) else None


def topology(file: h5py.File, rng: Random) -> str:
    """Nodes of a tree that say anything."""
    forest = forest_of(file)
    trees = sorted(n for n in forest or () if n.startswith("Tree"))
    if forest is None or not trees:
        return "nothing"
    tree = forest[rng.choice(trees)]
    nodes = tree["topology"][()].astype("i8")
    places = rng.sample(range(len(nodes)), min(rng.choice([1, 1, 1, 3, 10, 10_000]), len(nodes)))
    for place in places:
        choices = [0, LEAF, 1, 2, 3, len(nodes), len(nodes) - 1, -1, place, rng.randrange(len(nodes) + 9)]
        nodes[place] = rng.choice([*choices, rng.getrandbits(31), rng.getrandbits(63), -(2**63), 2**63 - 1])
    kept = nodes.astype(rng.choice(["i4", "u4", "i8", "u8"]))
    put(file, f"{tree.name}/topology", kept)
    return f"{len(places)} nodes of {tree.name}"


def counts(file: h5py.File, rng: Random) -> str:
    """Numbers of trees, columns and classes."""
    forest = forest_of(file)
    if forest is None:
        return "nothing"
    name = rng.choice(["_options/tree_count_", "_ext_param/column_count_", "_ext_param/class_count_",
                       "_ext_param/labels", "_options/predict_weighted_"])  # fmt: skip
    number = rng.choice([*NUMBERS, 10, 99, 101])
    value = (
        np.arange(rng.choice([0, 1, 3, 255, 256, 10_000]))
        if name.endswith("labels")
        else np.array([float(number)])
    )
    put(file, f"{forest.name}/{name}", value)
    if name.endswith("column_count_") and rng.random() < 0.5:  # all trees say so too
        for tree in (forest[n] for n in forest if n.startswith("Tree")):
            nodes = tree["topology"][()].astype("i8")
            nodes[0] = cast([number], np.dtype("i8"))[0]
            put(file, f"{tree.name}/topology", nodes)
    return f"{name} = {str(value)[:40]}"


def hostile_forest(file: h5py.File, rng: Random) -> str:
    """A tree without fault, but deep, or large, or of leaves that share their parameters."""
    forest = forest_of(file)
    if forest is None:
        return "nothing"
    columns = int(forest["_ext_param/column_count_"][0])
    classes = rng.choice([2, 255, 10_000, 1_000_000])
    splits = rng.choice([1, 100, 9_000, 12_000, 300_000])
    deep = rng.random() < 0.5
    number = np.arange(splits)
    nodes = np.zeros((splits, 5), "i8")
    leaf = 2 + 5 * splits
    leaves = np.tile([LEAF, 2], splits + 1)
    if deep:
        nodes[:, 2], nodes[:, 3] = leaf + 2 * number, 2 + 5 * (number + 1)
    else:
        children = np.stack([2 * number + 1, 2 * number + 2])
        nodes[:, 2:4] = np.where(children < splits, 2 + 5 * children, leaf + 2 * (children - splits)).T
    tree = "Tree_0"
    packed = {"compression": "gzip", "shuffle": True, "chunks": True}
    name = forest.name
    del file[name]
    forest = file.create_group(name)
    forest["_options/tree_count_"], forest["_options/predict_weighted_"] = [1.0], [0.0]
    forest["_ext_param/column_count_"], forest["_ext_param/class_count_"] = [float(columns)], [float(classes)]
    forest.create_dataset("_ext_param/labels", data=np.arange(classes, dtype="u4"), **packed)
    whole = np.concatenate([[columns, classes], nodes.ravel(), leaves])
    forest.create_dataset(f"{tree}/topology", data=whole.astype("i4"), **packed)
    forest.create_dataset(f"{tree}/parameters", data=np.full(3 + classes, 0.5), **packed)
    return f"a tree of {splits} splits, {classes} classes, {'deep' if deep else 'wide'}"


def random_pickle(rng: Random) -> bytes:
    """Opcodes with arguments that may be theirs."""
    plain = [o for o in pickletools.opcodes if o.name in PLAIN] if rng.random() < 0.7 else pickletools.opcodes
    parts = []
    for _ in range(rng.choice([3, 10, 100, 1000])):
        opcode = rng.choice(plain)
        parts.append(opcode.code.encode("latin-1"))
        if opcode.arg is not None:
            size = opcode.arg.n
            short = rng.choice([0, 1, 2, 5]).to_bytes(8, "little")
            raw = rng.choice([short, rng.randbytes(8), b"\xff" * 8])
            text = rng.choice([b"5\n", b"'a'\n", b"1.5\n", b"nan\n", b"a b\n", b"9" * 5000 + b"\n", b"\n"])
            width = {-2: 1, -3: 4, -4: 4, -5: 8}.get(size, size)
            parts.append(text if size == -1 else raw[:width] + rng.randbytes(2 if size < -1 else 0))
    return b"".join(parts) + b"."


PLAIN = {
    "MARK", "NONE", "LIST", "DICT", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE",
    "APPEND", "APPENDS", "SETITEM", "SETITEMS", "PUT", "GET", "BINPUT", "BINGET", "MEMOIZE", "INT", "BININT1", "STRING",
    "UNICODE", "FLOAT", "LONG", "LONG1", "LONG4", "PROTO", "BININT", "NEWTRUE",
}  # fmt: skip


def hostile_pickle(rng: Random) -> tuple[str, bytes]:
    """Small pickles of much: tuples of tuples as a key, what holds itself, large claims."""
    doubled = b"".join(b"h\0h\0\x86q\0" for _ in range(rng.choice([20, 200])))
    deep = rng.choice([1000, 100_000, 1_000_000])
    features = pickle.dumps(["a"])[:-1]
    return rng.choice([
        ("a key of doubled tuples", b"})q\0" + doubled + b"K\1s."),
        ("a deep tuple as key", b"})" + b"\x85" * deep + b"K\1s."),
        ("a deep list", b"]" * deep + b"a" * (deep - 1) + b"."),
        ("a list of itself", b"]q\0h\0a."),
        ("a dict of itself", b"}q\0X\1\0\0\0ah\0s" + features + b"\x86."),
        ("text of 2 GB", b"X\xff\xff\xff\x7fabc."),
        ("bytes of 2**63", b"\x8e" + b"\xff" * 8 + b"abc."),
        ("a long of 2**31 - 1", b"\x8b\xff\xff\xff\x7fabc."),
        ("a long text", b"V" + b"a" * 300_000 + b"\n."),
        ("a long number", b"I" + b"9" * 1_000_000 + b"\n."),
        ("many marks", b"(" * deep + b"."),
        ("many nothings", b"N" * deep + b"."),
        ("a call", b"cos\nsystem\n(S'true'\ntR."),
        ("settings of other kinds", pickle.dumps(({"file type": 1, "file path": None}, ["a"]))),
        ("features of other kinds", pickle.dumps(({"file type": "h5", "file path": "x"}, [1, None, ["a"]]))),
        ("features as text", pickle.dumps(({"file type": "h5", "file path": "\n"}, "abc"))),
        ("settings with odd text", pickle.dumps(({"file type": "\udcff\n", "file path": "\0"}, ["\udcff", "a\nb"]))),
    ])  # fmt: skip


def pickles(file: h5py.File, rng: Random) -> str:
    if rng.random() < 0.5:
        told, data = hostile_pickle(rng)
    else:
        told, data = "opcodes", random_pickle(rng)
    stored = np.void(data) if rng.random() < 0.8 else np.frombuffer(data, "u1")
    put(file, "ObjectClassification/ExportSettings", stored)
    return f"pickle: {told}, {len(data)} bytes"


def stated(file: h5py.File, rng: Random) -> str:
    """Texts and numbers that decide what is done, and of workflows that we know."""
    known = ["workflowName", "ilastikVersion", "ObjectClassification/LabelNames", "ObjectClassification/LabelColors",
             "ObjectClassification/ClassifierForests/pickled_type", "ThresholdTwoLevels", "ThresholdTwoLevels/Channel",
             "ThresholdTwoLevels/CurOperator", "ThresholdTwoLevels/MinSize", "ThresholdTwoLevels/SmootherSigma/x",
             "Object Information Export/OutputFormat", "Object Information Export/RegionStart",
             "Object Information Export/RegionStop", "Object Information Export/ExportDtype", "Input Data/Role Names",
             *(f"Input Data/infos/{lane}/{role}/{name}" for lane in file.get("Input Data/infos", ())
               for role in ("Raw Data", "Segmentation Image") for name in ("filePath", "axistags", "shape", "nickname"))
             ]  # fmt: skip
    return as_dataset(file, rng, rng.choice(known))


def odd_member(file: h5py.File, rng: Random) -> str:
    """Features, lanes, time steps, trees, roles of odd names."""
    groups = [g for g in ("ObjectExtraction/Features", "ObjectClassification/SelectedFeatures", "Input Data/infos",
                          "ObjectClassification/SelectedFeatures/Standard Object Features", "/",
                          "ObjectClassification/LabelInputs", "ObjectClassification/LabelInputs/0000",
                          "Input Data/infos/lane0000", "ObjectClassification/ClassifierForests")
              if isinstance(file.get(g), h5py.Group)]  # fmt: skip
    if not groups:
        return "nothing"
    group, name = file[rng.choice(groups)], rng.choice(NAMES)
    if name in group:
        return "nothing"
    if rng.random() < 0.5:
        inner = group.create_group(name)
        inner[rng.choice(NAMES)] = odd_value(rng)
    else:
        group[name] = odd_value(rng)
    return f"{group.name} has a {name[:40]!r}"


KNOWN = [topology, topology, counts, hostile_forest, pickles, pickles, stated, stated, odd_member]


# ---------------------------------------------------------------------- a project

_paths: dict[str, dict[str, list[str]]] = {}


def paths_of(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def patterns(project: str) -> dict[str, list[str]]:
    """Paths by pattern: the hundred trees count as one."""
    if project not in _paths:
        groups = defaultdict(list)
        with h5py.File(project, "r") as file:
            for path in paths_of(file):
                groups[re.sub(r"\d+", "#", path)].append(path)
        _paths[project] = dict(groups)
    return _paths[project]


def pick(project: str, rng: Random) -> str:
    """A path; those that are read come more often."""
    by_pattern = patterns(project)
    looked_at = [
        p for p in by_pattern if not p.startswith(("ObjectExtraction/RegionF", "FeatureSelections", "Pixel"))
    ]
    return rng.choice(by_pattern[rng.choice(looked_at if rng.random() < 0.9 else list(by_pattern))])


def damage(project: str, folder: Path, rng: Random) -> tuple[str, str, list[str]]:
    """Write a damaged copy; returns its path, the kind of damage, and all of it."""
    path = folder / "damaged.ilp"
    shutil.copyfile(project, path)
    path.chmod(0o600)
    if rng.random() < 0.35:
        return str(path), *damage_bytes(path, rng)
    ways = [rng.choice(GENERAL if rng.random() < 0.6 else KNOWN) for _ in range(rng.choice([1, 1, 1, 2, 4]))]
    with h5py.File(path, "r+") as file:
        done = [apply(way, file, rng, project) for way in ways]
    return str(path), ways[0].__name__ if len(ways) == 1 else "several", done


def apply(way: Callable[..., str], file: h5py.File, rng: Random, like: str) -> str:
    """Damage the structure of a file somewhere; ``like`` is a sound one of the same members."""
    try:
        return way(file, rng, pick(like, rng)) if way in GENERAL else way(file, rng)
    except (KeyError, ValueError, TypeError, RuntimeError, OSError, AttributeError, IndexError) as fault:
        return f"{way.__name__} was not possible ({type(fault).__name__})"


def use(path: str) -> str:
    """Open a project and do with it what needs no image."""
    told = inspect_project(path)
    "\n".join(_lines({**told, "runnable": True, "why_not": ""}, sys.maxsize)).encode()
    json.dumps(told, ensure_ascii=False).encode()
    project = open_project(path)
    project.features()
    if project.forest is None:
        return "opened, no forest"
    for ndim, channels in ((2, 1), (2, 3), (3, 1)):
        try:
            project.check_columns(ndim, channels, "an image")
        except ObjclassError as fault:
            check_one_line(fault)
    if project.forest.columns <= WIDEST:
        found = project.forest.predict(np.zeros((2, project.forest.columns), np.float32))
        assert found.probabilities.shape[0] == 2
    return "opened"


def default_projects() -> list[str]:
    shared = Path(os.environ.get("OBJCLASS_SHARED", ROOT.parent / "shared"))
    golden = glob(str(shared / "golden" / "**" / "*.ilp"), recursive=True)
    return sorted(glob(str(ROOT / "sample_data" / "*.ilp"))) + sorted(golden)


def main(arguments: list[str] | None = None) -> int:
    parser = options_of(__doc__)
    parser.add_argument("projects", nargs="*", metavar="PROJECT")
    options = parser.parse_args(arguments)
    projects = options.projects or default_projects()
    for project in [str(ROOT / "sample_data" / "cells.ilp"), *projects[:1]]:
        attempt(use, project)
    subject = Subject(projects, damage, use, ("opened", "opened, no forest", "refused"))
    return run(subject, options, "tests/fuzz_projects.py")


if __name__ == "__main__":
    sys.exit(main())
