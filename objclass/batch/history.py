"""What the runs of a folder did, and how two of them differ."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from objclass.batch.digests import essence, file_entry
from objclass.batch.run_file import Record, read_run
from objclass.errors import InputError

OPTIONS = (
    "objclass",
    "arguments",
    "folder",
    "project",
    "pixel_project",
    "threshold",
    "features",
    "classes",
    "numpy",
)
"""Entries of a run file that may explain other results."""

COMPARED = ("status", "counts", "unit", "pixel_size", "outputs")
"""Entries of a lane that are compared."""


def history(folder: str) -> list[tuple[str, Record]]:
    """The run files of a folder with their contents, the earliest run first.

    Raises
    ------
    InputError
        If there are none.
    """
    found = []
    for path in Path(folder).glob("objclass_run*.json"):
        try:
            found.append((str(path), read_run(path)))
        except InputError:
            continue
    if not found:
        message = f"{folder}: no run file of objclass (objclass_run.json) is there"
        raise InputError(message)
    return sorted(found, key=lambda run: (str(run[1].get("started", "")), run[0]))


def summary(path: str, run: Record) -> Record:
    """What a run did, in a few numbers."""
    statuses = Counter(str(lane.get("status")) for lane in run["lanes"])
    return {
        "file": path,
        "run": run.get("run"),
        "started": run.get("started"),
        "objclass": run.get("objclass"),
        "lanes": len(run["lanes"]),
        **{status.replace(" ", "_"): statuses[status] for status in ("done", "failed", "not run")},
        "objects": sum(lane.get("counts", {}).get("objects", 0) for lane in run["lanes"]),
        "seconds": run.get("seconds"),
        "error": run.get("error"),
        "arguments": run.get("arguments", []),
    }


def differences(a: Record, b: Record) -> Iterator[str]:
    """What differs between two runs: options, inputs, and the results of lanes; a line for each."""
    for name in OPTIONS:
        if _essence(a.get(name)) != _essence(b.get(name)):
            yield f"{name}: {_shown(a.get(name))} | {_shown(b.get(name))}"
    lanes = [{lane["image"]: lane for lane in run["lanes"]} for run in (a, b)]
    for image in dict.fromkeys([*lanes[0], *lanes[1]]):
        one, other = (run.get(image) for run in lanes)
        if one is None or other is None:
            yield f"{image}: only in the {'second' if one is None else 'first'}"
            continue
        for name in COMPARED:
            if one.get(name) != other.get(name):
                yield f"{image}: {name}: {_shown(one.get(name))} | {_shown(other.get(name))}"
        if _inputs(one) != _inputs(other):
            yield f"{image}: its inputs are other files, or were changed"
        hashes = [
            {e["path"]: e["sha256"] for e in lane.get("files", ()) if "sha256" in e} for lane in (one, other)
        ]
        for path in hashes[0].keys() & hashes[1].keys():
            if hashes[0][path] != hashes[1][path]:
                yield f"{image}: {path}: other bytes"


def changed_inputs(run: Record) -> list[str]:
    """Files that a run has read and that are not as they were then."""
    entries = [run.get("project"), run.get("pixel_project")]
    entries += [
        e for lane in run["lanes"] for image in lane.get("inputs", ()) for e in image.get("files", ())
    ]
    return sorted({e["path"] for e in entries if e and "modified" in e and _is_changed(e)})


def other_bytes(run: Record) -> tuple[list[str], int]:
    """Outputs whose bytes are not those that a run has recorded, and the number of outputs with a record."""
    entries = [e for lane in run["lanes"] for e in lane.get("files", ()) if "sha256" in e]
    wrong = [e["path"] for e in entries if file_entry(e["path"], "content").get("sha256") != e["sha256"]]
    return wrong, len(entries)


def _is_changed(entry: Record) -> bool:
    digest = "header" if "sha256_head" in entry or "sha256" in entry else "none"
    now = file_entry(entry["path"], digest)
    compared = [name for name in ("size", "sha256_head", "sha256") if name in entry and name in now]
    if "modified" not in now:
        return True
    return (
        any(entry[name] != now[name] for name in compared)
        if compared
        else entry.get("modified") != now["modified"]
    )


def _essence(value: Any) -> Any:
    """A value without what differs between two copies of a file."""
    return essence(value) if isinstance(value, dict) and "path" in value else value


def _inputs(lane: Record) -> list[Any]:
    return [_essence(e) for image in lane.get("inputs", ()) for e in image.get("files", ())]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["path"]) if "path" in value else ", ".join(f"{k}={v}" for k, v in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
