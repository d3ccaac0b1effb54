"""Training: labelled objects become a project."""

from objclass.training.learn import train

__all__ = ["train"]
