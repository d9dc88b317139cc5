"""Programs that build and check the project: run as ``python -m tools.NAME``, or by a make target."""
