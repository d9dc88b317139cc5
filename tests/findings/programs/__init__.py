"""Whole programs, written without sight of the rules: what people run in production, and sick ones with a twist.

Each is a script that finds its servers in the environment (`tests/findings/test_programs.py` starts them):

- ``healthy``: no warning, and nothing untrue as information
- ``sick``: the line that a reader of the program would expect to be named ends with ``# here``; any of several with
  ``# or here``

Where a rule and a program disagreed, either the rule was mended, or the program says in a comment what is not so healthy
about it.
"""
