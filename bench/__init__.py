"""Measurements, as commands. They are never part of the tests: a timing is not a pass or a fail."""
