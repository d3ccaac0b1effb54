"""A run over many lanes: the request, the plan, the tasks and the run file."""

from objclass.batch.request import Request
from objclass.batch.schedule import run

__all__ = ["Request", "run"]
