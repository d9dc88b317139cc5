"""The command line: run, view, diff, doctor, demo."""
