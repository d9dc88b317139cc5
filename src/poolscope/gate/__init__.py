"""The gate: which findings fail a run, which are ignored, and which were accepted before."""
