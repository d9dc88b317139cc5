"""Finds habits in the source alone, as hints at what a run would prove."""
