"""Whole programs, written without looking at the rules: what people run in production, and sick ones with a twist.

Each is a script that finds its servers in the environment (`tests/findings/test_programs.py` starts them):

- ``healthy``: no warning, and no untrue information
- ``sick``: the line that a reader would expect to be named ends with ``# here``; if there are several, each ends with
  ``# or here``

Where a rule and a program disagreed, either the rule was fixed, or a comment in the program says what is not so healthy
about it.
"""
