"""Unpacked chunks that are kept: slabs are thinner than most chunks, and the next one wants them again."""

from objclass.kept import Kept

KEPT = Kept(1 << 28)
"""Of all images of this process; how much it keeps is set by what a run may use."""
