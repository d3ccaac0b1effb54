"""One file per set of features."""
