"""Statistics, from which features are computed: one file per family; the compiled formulation is in `folding`."""
