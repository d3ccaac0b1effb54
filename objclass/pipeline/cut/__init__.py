"""One lane cut among workers, with exactly the results of one process.

A time step is cut into parts. Each task labels a part and writes its label image to a folder that all workers see;
components that touch a seam between two parts are found and joined; then the objects get their numbers, and each part
measures those whose first voxel is in it, also where they reach into other parts.
"""

from objclass.pipeline.cut.parts import Parts, parts_of
from objclass.pipeline.cut.pixels import prepared
from objclass.pipeline.cut.run import cut_lane

__all__ = ["Parts", "cut_lane", "parts_of", "prepared"]
