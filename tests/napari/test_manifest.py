"""The manifest of the plug-in: napari finds all that it names."""

import fnmatch

import pytest

from objclass.export.images import SOURCES


@pytest.fixture(scope="module")
def manifest():
    npe2 = pytest.importorskip("npe2")
    return npe2.PluginManifest.from_distribution("objclass")


def test_all_that_it_names_is_there(manifest):
    manifest.validate_imports()
    ids = {command.id for command in manifest.contributions.commands}
    named = [
        *manifest.contributions.widgets,
        *manifest.contributions.readers,
        *manifest.contributions.sample_data,
    ]
    assert {one.command for one in named} == ids


@pytest.mark.parametrize("source", SOURCES)
def test_result_images_have_a_reader(manifest, source):
    """npe2 compares the names of files with patterns in lower case."""
    patterns = [
        pattern.lower() for reader in manifest.contributions.readers for pattern in reader.filename_patterns
    ]
    assert any(fnmatch.fnmatchcase(f"cells_{source}.h5", pattern) for pattern in patterns)
    assert not any(fnmatch.fnmatchcase("cells.h5", pattern) for pattern in patterns)
