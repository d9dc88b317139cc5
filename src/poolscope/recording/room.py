"""Room for our own files at the end of a program that has used up its descriptors, as those do that leak connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from poolscope.genuine import second
from poolscope.recording.our_imports import standard_library_first

with standard_library_first():
    _resource = second("resource")  # not in `sys.modules`: a program's own module may have that name


@contextmanager
def room_for_files() -> Iterator[None]:
    """Raise the limit of open files to the highest that this process may have."""
    kind = _resource.RLIMIT_NOFILE
    before = _resource.getrlimit(kind)
    with suppress(OSError, ValueError):
        _resource.setrlimit(kind, (before[1], before[1]))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            _resource.setrlimit(kind, before)
