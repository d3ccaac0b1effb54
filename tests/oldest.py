"""Print the lower bounds of all dependencies as constraints for pip: ``python tests/oldest.py > oldest.txt``."""

import re
import tomllib
from pathlib import Path


def oldest(project: dict) -> list[str]:
    """``name==bound`` for each ``name>=bound`` that the package itself imports."""
    extras = [entry for name in ("exr", "xlsx", "zstd") for entry in project["optional-dependencies"][name]]
    entries = [entry.partition(";")[0].strip() for entry in [*project["dependencies"], *extras]]
    found = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", entry) for entry in entries]
    return [f"{match[1]}=={match[2]}" for match in found if match]


if __name__ == "__main__":
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        print("\n".join(oldest(tomllib.load(file)["project"])))  # noqa: T201
