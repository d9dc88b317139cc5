"""ssl: which contexts were watched since they were made, and which have a certificate of the client's own.

Nobody can ask a context for that certificate; without knowing, two contexts cannot be said to do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.patching import Patches
from poolscope.identity.values import WATCHED
from poolscope.libraries.marks import set_mark


def install(module: ModuleType, patches: Patches) -> None:
    """Watch contexts from now on; those that are there already stay unknown."""
    patches.replace(module.SSLContext, "__new__", _made)
    patches.replace(module.SSLContext, "load_cert_chain", _certified)


def _made(original: Any) -> Any:
    make = original.__func__ if isinstance(original, staticmethod) else original

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:  # noqa: N807  (it is that method)
        try:
            context = make(cls, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        _mark(context, False)
        return context

    return __new__


def _certified(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_cert_chain(self: Any, *args: Any, **kwargs: Any) -> Any:
        _mark(self, True)
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise

    return load_cert_chain


@guard("tls.context")
def _mark(context: Any, certified: bool) -> None:
    set_mark(context, certified, WATCHED)
