"""Images damaged at random: reading one succeeds, or says in one line what is wrong.

    python tests/fuzz_images.py [--count 30000] [--seed 0] [--seconds 10] [--megabytes 1024] [SAMPLE…]

Samples are the small files of every format that `tests/contracts/test_readers.py` reads, by the names that
they have there. Every trial damages one: its bytes, tags of a TIFF file, numbers in the JSON of a store, the
chunks of a PNG file (their checksums set right), members of a zip file, the structure of an HDF5 file; and
reads it in a child process, region by region. It may succeed or raise an `ObjclassError` of one line. The exit
code is 1 if there was anything else. ``--seed S --only N SAMPLE`` repeats a trial; ``--keep FOLDER`` keeps its files.
"""

import json
import pkgutil
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from math import prod
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests import fuzz_projects  # sets the number of threads before numpy is imported  # noqa: I001, E402

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from objclass.core import Image  # noqa: E402
from objclass.images import formats, open_image  # noqa: E402
from tests.contracts.test_readers import CASES  # noqa: E402
from tests.trials import Subject, damage_bytes, in_child, options_of, run  # noqa: E402

READ_AT_ONCE = 1 << 22
"""Pixels: images that claim more are read in parts, the first and the last."""

NUMBERS = [
    0, 1, 2, 3, 7, 16, 37, 255, 256, 4096, 65535, 65536, 2**24, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62,
    2**63, 2**64 - 1, -1, -(2**31), 10**30,
]  # fmt: skip

VALUES: list[Any] = [
    *NUMBERS, 0.5, 1e308, None, True, "", "x", "0", "\x1b[31m", "a\nb", "../../..", "/dev/zero", "a" * 10_000, [], {},
    [0], [-1], [[]], [1] * 100, {"id": "pickle"}, {"id": "zlib"}, {"id": "vlen-utf8"}, {"name": "bytes"}, "|O", "|V5",
    "<u8", ">f2", "<M8[ns]", "<U9", "float16", "gzip", "blosc", "zstd", "NaN", "Infinity",
]  # fmt: skip

_samples: dict[str, tuple[Path, str]] = {}
"""Name -> the folder of its files, and what in it is opened."""


def make_samples(folder: Path, names: list[str]) -> list[str]:
    """Write the files of all samples, or of some; the names of those that could be made."""
    for number, (name, (suffix, make)) in enumerate(CASES.items()):
        if names and name not in names:
            continue
        place = folder / str(number)
        place.mkdir()
        with suppress(BaseException):  # pytest skips what is not installed
            spec, _, _ = make(place / f"a{suffix}")
            _samples[name] = place, str(Path(spec).relative_to(place))
    return list(_samples)


# ---------------------------------------------------------------------- damage


def tags(path: Path, rng: Random, _: Path | None = None) -> str:
    """An entry of a directory of a TIFF file: its tag, type, count or value; or where the next one is."""
    data = bytearray(path.read_bytes())
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(f"{order}H", data, 2)[0] != 42:
        return damage_bytes(path, rng)[1][0]
    at, places = struct.unpack_from(f"{order}I", data, 4)[0], []
    while at and at + 2 < len(data) and len(places) < 100:
        count = struct.unpack_from(f"{order}H", data, at)[0]
        places.append((at, count))
        at = struct.unpack_from(f"{order}I", data, at + 2 + 12 * count)[0]
    at, count = rng.choice(places)
    near = [
        at,
        at + 2,
        places[0][0],
        rng.choice(places)[0],
        len(data),
        len(data) - 1,
        rng.randrange(len(data)),
    ]
    value = rng.choice([*NUMBERS, *near]) % (1 << 32)
    if rng.random() < 0.15:
        struct.pack_into(f"{order}I", data, at + 2 + 12 * count, value)
        told = f"the next directory at {value}"
    else:
        entry = at + 2 + 12 * rng.randrange(count)
        tag = struct.unpack_from(f"{order}H", data, entry)[0]
        part, code = rng.choice([(0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "I"), (8, "I"), (8, "H")])
        if code == "H":
            known = [
                rng.choice(
                    [254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 323, 324, 330, 339]
                )
            ]
            value = rng.choice([*range(20), *known, 32773, 34887, 50000, 65535])
        struct.pack_into(f"{order}{code}", data, entry + part, value)
        told = f"tag {tag}, byte {part}: {value}"
    path.write_bytes(data)
    return told


def text(path: Path, rng: Random, _: Path | None = None) -> str:
    """A number in the description of a TIFF file or the header of another one, of the same width."""
    data = bytearray(path.read_bytes())
    runs = [
        k for k in range(len(data) - 1) if chr(data[k]).isdigit() and k < 4096 and data[k - 1] in b' "=:[,'
    ]
    if not runs:
        return damage_bytes(path, rng)[1][0]
    at = rng.choice(runs)
    stop = at
    while stop < len(data) and chr(data[stop]).isdigit():
        stop += 1
    new = rng.choice([b"9" * (stop - at), b"0" * (stop - at), str(rng.choice(NUMBERS)).encode()])
    data[at : at + (stop - at if rng.random() < 0.3 else len(new))] = new
    path.write_bytes(data)
    return f"text at {at}: {new[:40]!r}"


def change(value: Any, rng: Random) -> tuple[Any, str]:
    """The same JSON but for one thing somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}, f"without {key}"
        changed, told = change(value[key], rng)
        return value | {key: changed}, f"{key}.{told}"
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        if rng.random() < 0.15:
            return rng.choice([value[:at], value * 2, [*value, value[at]]]), f"[{at}] cut or doubled"
        changed, told = change(value[at], rng)
        return [*value[:at], changed, *value[at + 1 :]], f"[{at}].{told}"
    near = [value + 1, value - 1, -value, value * 1000] if isinstance(value, int) else []
    new = rng.choice([*VALUES, *near, *near])
    return new, f"= {str(new)[:40]!r}"


def metadata(path: Path, rng: Random, _: Path | None = None) -> str:
    """Something in the JSON of a store."""
    changed, told = change(json.loads(path.read_text()), rng)
    path.write_text(json.dumps(changed))
    return f"{path.name}: {told}"


def png_chunks(path: Path, rng: Random, _: Path | None = None) -> str:
    """A chunk of a PNG file, its checksum set right."""
    data, parts, at = path.read_bytes(), [], 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    which = rng.randrange(len(parts))
    kind, content = parts[which]
    way = rng.choice(["number", "bytes", "drop", "double", "kind"])
    if way == "drop":
        del parts[which]
    elif way == "double":
        parts.insert(which, parts[which])
    elif way == "kind":
        parts[which] = rng.choice([b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"acTL", b"fdAT"]), content
    elif content:
        new = bytearray(content)
        place = rng.randrange(len(new))
        if way == "number":
            new[place : place + 4] = struct.pack(">I", rng.choice(NUMBERS) % (1 << 32))
        else:
            new[place] = rng.randrange(256)
        parts[which] = kind, bytes(new)
    packed = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts)
    path.write_bytes(data[:8] + b"".join(packed))
    return f"chunk {which} {kind!r}: {way}"


def members(path: Path, rng: Random, _: Path | None = None) -> str:
    """A member of a zip file: its content, name or method, the archive itself sound."""
    with zipfile.ZipFile(path) as archive:
        held = [(info, archive.read(info)) for info in archive.infolist()]
    which, told = rng.randrange(len(held)), ""
    name, content = held[which][0].filename, held[which][1]
    method = rng.choice(
        [held[which][0].compress_type, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    )
    inner = path.with_name("member")
    inner.write_bytes(content)
    if name.endswith((".json", ".zarray")) and rng.random() < 0.8:
        told = metadata(inner, rng)
    elif content:
        told = "; ".join(damage_bytes(inner, rng)[1])
    content = inner.read_bytes()
    inner.unlink()
    if rng.random() < 0.1:
        name = rng.choice(["../x", "/x", "", "a" * 300, "a\nb.npy"])
    with zipfile.ZipFile(path, "w") as archive:
        for number, (info, old) in enumerate(held):
            if number == which:
                archive.writestr(name or "x", content, method)
            else:
                archive.writestr(info, old)
    return f"{held[which][0].filename}: method {method}, {told}"


def structure(path: Path, rng: Random, sound: Path) -> str:
    """What an HDF5 file holds."""
    with h5py.File(path, "r+") as file:
        return fuzz_projects.apply(rng.choice(fuzz_projects.GENERAL), file, rng, str(sound))


def ways_of(path: Path) -> list[Callable[[Path, Random, Path], str]]:
    """How a file can be damaged, apart from its bytes."""
    head = path.read_bytes()[:8]
    if head[:4] in (b"II*\0", b"MM\0*"):
        return [tags, tags, text]
    if head == b"\x89PNG\r\n\x1a\n":
        return [png_chunks]
    if head == b"\x89HDF\r\n\x1a\n":
        return [structure]
    if head[:2] == b"PK":
        return [members]
    if path.name in ("zarr.json", ".zarray", ".zattrs", "attributes.json"):
        return [metadata]
    return [text] if head[:1] in (b"P", b"#", b"\x93") else []


def damage(sample: str, folder: Path, rng: Random) -> tuple[str, str, list[str]]:
    source, spec = _samples[sample]
    place = folder / "files"
    shutil.copytree(source, place)
    files = sorted(p for p in place.rglob("*") if p.is_file())
    headers = [p for p in files if p.name in ("zarr.json", ".zarray", ".zattrs", "attributes.json")]
    path = rng.choice(headers if headers and rng.random() < 0.6 else files)
    ways = ways_of(path)
    if ways and rng.random() < 0.6:
        way = rng.choice(ways)
        told = way(path, rng, source / path.relative_to(place))
        return str(place / spec), way.__name__, [f"{path.name}: {told}"]
    kind, done = damage_bytes(path, rng)
    return str(place / spec), kind, [f"{path.name}: {told}" for told in done]


# ---------------------------------------------------------------------- use


def use(spec: str) -> str:
    """Read an image as a run does: its header, then its pixels, in parts where they are many."""
    image = open_image(spec)
    assert image.name
    for region in regions(image):
        pixels = image.read(region)
        assert pixels.shape == tuple(part.stop - part.start for part in region)
    return "read"


def regions(image: Image) -> list[Any]:
    if prod(image.shape) <= READ_AT_ONCE:
        return [tuple(slice(0, n) for n in image.shape)]
    sides = np.minimum(image.shape, (1, 1, 64, 4096, 4))
    first = tuple(slice(0, int(side)) for side in sides)
    last = tuple(slice(int(n - side), int(n)) for n, side in zip(image.shape, sides, strict=True))
    return [first, last]


def warm_up() -> None:
    """Import what reads the samples, and read them, in children: threads do not outlive a fork."""
    for module in pkgutil.iter_modules(formats.__path__, f"{formats.__name__}."):
        import_module(module.name)
    with suppress(ImportError):
        import_module("bioio_czi")
    for place, spec in _samples.values():
        told, _, _ = in_child(use, str(place / spec), 60, 1 << 12)
        assert told["outcome"] == "read", (spec, told)


def main(arguments: list[str] | None = None) -> int:
    parser = options_of(__doc__)
    parser.add_argument("samples", nargs="*", metavar="SAMPLE")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        names = make_samples(Path(folder), options.samples)
        warm_up()
        return run(Subject(names, damage, use, ("read", "refused")), options, "tests/fuzz_images.py")


if __name__ == "__main__":
    sys.exit(main())
