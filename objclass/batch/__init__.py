"""A run over many lanes: what is asked for, planned, done, and kept in the run file."""

from objclass.batch.request import Request
from objclass.batch.schedule import run

__all__ = ["Request", "run"]
