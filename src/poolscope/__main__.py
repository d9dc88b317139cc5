"""``python -m poolscope``: the same as the ``poolscope`` command."""

from __future__ import annotations

from poolscope.cli.main import main

if __name__ == "__main__":
    main(prog="python -m poolscope")
