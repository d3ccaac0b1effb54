"""The sample data in napari's menu."""

import pytest


@pytest.mark.parametrize(("key", "names"), [
    ("cells", ["cells", "cells probability", "cells segmentation"]),
    ("spots", ["spots", "spots objects"]),
    ("moving_cells", ["moving cells", "moving cells objects"]),
])  # fmt: skip
def test_samples_open(module_viewer, key, names):
    module_viewer.layers.clear()
    module_viewer.open_sample("objclass", key)
    assert [layer.name for layer in module_viewer.layers] == names
    raw, *others = module_viewer.layers
    assert all(one.data.shape == raw.data.shape for one in others)
    assert (
        "".join(module_viewer.dims.axis_labels) == {2: "yx", 3: "zyx" if key == "spots" else "tyx"}[raw.ndim]
    )
