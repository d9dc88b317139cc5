"""In IPython and notebooks: ``%load_ext poolscope``, then ``%%poolscope`` at the head of a cell."""

from __future__ import annotations

from typing import Any

from poolscope.block import record


def load_ipython_extension(shell: Any) -> None:
    """Called by ``%load_ext poolscope``: registers the cell magic."""

    def poolscope(line: str, cell: str) -> None:
        """Run the cell and show what it did to its connections; ``%%poolscope NAME`` keeps the recording as NAME."""
        from IPython import display

        with record(name=f"In [{shell.execution_count}]") as seen:
            shell.run_cell(cell)
        if line.strip():
            shell.user_ns[line.strip()] = seen
        display.display(seen)  # type: ignore[no-untyped-call]

    shell.register_magic_function(poolscope, "cell")
