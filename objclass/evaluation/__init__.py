"""Evaluation: how good a classifier is, judged from tables of objects, never from images."""
