"""Training: from labelled objects to a project."""

from objclass.training.learn import train

__all__ = ["train"]
