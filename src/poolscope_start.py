"""What each interpreter of the environment runs at its start: `poolscope.pth`, and from 3.15 on `poolscope.start`.

Not in the package: that would be imported first, by every Python, for a variable that is nearly never set.
PYTEST_DONT_REWRITE: it may be there before pytest is.
"""

import os


def activate() -> None:
    """Record this process if a variable asks for it."""
    if "POOLSCOPE" not in os.environ and "POOLSCOPE_FOLLOW" not in os.environ:
        return
    try:
        from poolscope.recording.boot import activate as record
    except ImportError:  # the package is gone, or for another Python
        return
    record()
