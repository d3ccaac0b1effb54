"""Statistics: what features are made of, one file per family, the compiled formulation in `folding`."""
