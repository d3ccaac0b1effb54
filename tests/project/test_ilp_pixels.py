"""Pixel projects of ilastik 1.2 to 1.4 are read: stages, forests, painted labels."""

import pytest

from objclass.errors import ProjectError
from objclass.project.ilp_pixels import read_pixel_project

PROJECTS = {
    "golden/pixel2d/pixel2d.ilp": (1, 3, 4),
    "golden/real/PixelClassification5t3d2c/PixelClassification5t3d2c.ilp": (1, 2, 1),
    "data/ilastik-apoptotic-2d/pixel_class_2d_cells_apoptotic.ilp": (1, 2, 8),
    "data/ilastik-drosophila-oc/autocontext.ilp": (2, 2, 4),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_what_a_project_holds(shared, name):
    project = read_pixel_project(str(shared / name))
    stages, classes, blocks = PROJECTS[name]
    assert (len(project.stages), len(project.classes)) == (stages, classes)
    assert len(project.classifiers()) == stages
    strokes = project.stages[0].strokes[0]
    assert len(strokes) == blocks
    for block in strokes:
        assert block.labels.max() <= classes
        assert block.labels.shape == tuple(part.stop - part.start for part in block.region)


def test_another_workflow_is_named(shared):
    with pytest.raises(ProjectError, match=r"'Object Classification \(from binary image\)': expected Pixel"):
        read_pixel_project(str(shared / "golden/blobs2d/blobs2d.ilp"))
