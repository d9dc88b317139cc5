"""How a hook is put in place and taken out again.

`Patches` remembers what was replaced and restores only what is still ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final


class Patches:
    """What was replaced where; `restore` undoes it, newest first, and only where it is still ours."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def __repr__(self) -> str:
        return f"<Patches {', '.join(f'{owner.__name__}.{name}' for owner, name, _, _ in self._done)}>"

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace ``owner.name`` by ``make(original)``; False if there is no such name.

        A method that ``owner`` only inherits is wrapped in ``owner`` itself, and removed again on restore.
        Where somebody wrapped it with wrapt before us, ours goes below theirs: nearer to the library, and
        where the span they made can be seen.
        """
        original = vars(owner).get(name, _MISSING)
        inherited: Any = getattr(owner, name, _MISSING) if original is _MISSING else original
        if inherited is _MISSING:
            return False
        above = _innermost_wrapper(inherited)
        if above is not None:
            original = inherited = above.__wrapped__
        replacement = functools.wraps(inherited)(make(inherited))
        if above is None:
            setattr(owner, name, replacement)
        else:
            above.__wrapped__ = replacement
        self._done.append((owner, name, original, replacement))
        return True

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name`` to ``value``, removed (or put back) on restore."""
        self._done.append((owner, name, vars(owner).get(name, _MISSING), value))
        setattr(owner, name, value)

    def restore(self) -> None:
        """Undo everything that nobody replaced after us; what was, keeps running over a hook without consumers."""
        while self._done:
            owner, name, original, replacement = self._done.pop()
            there = vars(owner).get(name)
            above = _innermost_wrapper(there)
            if above is not None and above.__wrapped__ is replacement:
                above.__wrapped__ = original
            if there is not replacement:
                continue
            if original is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def _innermost_wrapper(wrapped: Any) -> Any:
    """The wrapt wrapper next to the function itself; None where ``wrapped`` is no such wrapper."""
    innermost = None
    while type(wrapped).__module__.partition(".")[0] in _WRAPT:
        innermost, wrapped = wrapped, wrapped.__wrapped__
    return innermost


_MISSING: Final = object()
_WRAPT: Final = ("wrapt", "_wrappers")
"""Modules of its wrappers' classes; the second is the C extension's."""
