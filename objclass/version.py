"""The version of objclass: read from here by the build, `objclass --version` and the run file."""

__version__ = "0.1.0"
