import glob
import re
from pathlib import PurePath


def part(path):
    """The parts of a file that shards write: those of t.csv.gz are t.shard-1-of-4.csv.gz, t.shard-2-of-4.csv.gz …"""
    return re.sub(r"((\.[ct]sv)?\.\w+)$", r".shard-{scatteritem}\1", path)


def images(patterns):
    """The files of all patterns, where only * is special; of an image in a file, such as a.h5/raw, the file."""
    return [path for pattern in patterns.values() for path in files(pattern)]


def files(pattern):
    """The files of a pattern, in order."""
    parts = PurePath(pattern), *PurePath(pattern).parents
    found = (glob.glob(glob.escape(str(path)).replace("[*]", "*")) for path in parts if "*" in path.name)
    paths = sorted(next(filter(None, found), []))
    if not paths:
        raise WorkflowError(f"no files match {pattern}")
    return paths
