"""The project: everything that was decided at training time. Only the modules ``ilp_*`` know the layout of ``.ilp``."""

from objclass.project.model import Project
from objclass.project.open import open_project

__all__ = ["Project", "open_project"]
