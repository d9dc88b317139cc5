"""A hook point: a method, and what we do around it. The tables of `libraries` consist of these.

A body is a plain function. Its first parameter is the object of the method call, unless it has one of
the names `OURS`; the others are parameters of the library's, by their names.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final, Literal

from poolscope.libraries.guard import BodyHook, hook_of

Body = Callable[..., Any]
Step = Literal["before", "after", "failed"]

OURS: Final = frozenset(("token", "result", "error", "frame", "frames"))
"""Other names that a body may take: the ``token`` that ``before`` returned (without a token a body does not run,
unless it has a default), the result or error of the original, and the caller's frame; bodies that rarely need that
take ``frames`` and call ``frames(2)``.
"""

_INSIDE: Final[dict[tuple[str, ...], ContextVar[Any]]] = {}


class Point:
    """A method of a class (or a function of a module), and what we do around it."""

    __slots__ = (
        "at_call",
        "hooks",
        "inside",
        "method",
        "missing_ok",
        "of_class",
        "owner",
        "rewrites",
        "takes",
        "uses_token",
        "var",
    )

    def __init__(
        self,
        owner: str | type | ModuleType,
        method: str,
        *,
        before: Body | None = None,
        after: Body | None = None,
        failed: Body | None = None,
        always: Body | None = None,
        var: ContextVar[Any] | None = None,
        takes: tuple[str, ...] = (),
        rewrites: str | None = None,
        at_call: bool = False,
        of_class: bool = False,
        missing_ok: bool = False,
    ) -> None:
        self.owner = owner
        """A class, or its path from the library: ``connection.HTTPConnection``."""
        self.method = method
        bodies: dict[Step, Body | None] = {
            "before": before,
            "after": after or always,
            "failed": failed or always,
        }
        self.hooks: dict[Step, BodyHook] = {step: hook_of(body) for step, body in bodies.items() if body}
        self.uses_token = bool(var or rewrites or any("token" in hook.wants for hook in self.hooks.values()))
        if self.uses_token and before is None:
            raise ValueError(f"{method}: a token is what `before` returns")
        self.var = var
        """Holds what ``before`` returned while the original runs."""
        self.takes = takes
        """The library's first parameters after ``self``, in its order, for originals without parameter names."""
        self.rewrites = rewrites
        """The parameter that is replaced by the token's ``instead``, where that is not None."""
        self.at_call = at_call
        """Whether ``before`` runs when a coroutine method is called: the coroutine may run as a separate task."""
        self.of_class = of_class
        """Whether it is a class method, and nothing to be woven where it is not."""
        self.missing_ok = missing_ok
        key = (method, *(hook.name for hook in self.hooks.values()))
        self.inside: ContextVar[Any] = _INSIDE.setdefault(key, ContextVar(f"poolscope_inside_{method}"))
        """(id, class) of the object with a running method, because a method may call another by ``super()``."""

    @property
    def is_over_at_call(self) -> bool:
        """Whether nothing is to be done while the original runs, nor after it."""
        return self.var is None and self.hooks.keys() <= {"before"}

    @property
    def is_over_without_token(self) -> bool:
        """Whether that is so where ``before`` returns nothing."""
        return self.uses_token and all(
            hook.needs_token for step, hook in self.hooks.items() if step != "before"
        )

    def __repr__(self) -> str:
        owner = self.owner if isinstance(self.owner, str) else self.owner.__name__
        return f"<Point {owner}.{self.method} {' '.join(hook.name for hook in self.hooks.values())}>"
