"""Sphinx: ``python -m pip install -e '.[docs]' && sphinx-build docs docs/_build``."""

project = "objclass"
copyright = "2026, the objclass developers"  # noqa: A001 (Sphinx's name)
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
numpydoc_show_class_members = False
suppress_warnings = ["myst.xref_missing"]  # links to README and CHANGELOG are for readers of the repository
