"""Keeps poolscope's own failures away from the host: a hook that fails three times within a minute is switched off.

The idea is trio's: an instrument that raises is removed, the host is unaffected.
"""

from __future__ import annotations

from typing import Final

from poolscope.facts import BEGUN, HookFailure, now
from poolscope.queue import FACTS, is_the_hosts

ALLOWED: Final = 2
"""Failures within `FORGIVEN_AFTER` that leave a hook on."""
FORGIVEN_AFTER: Final = 60.0
"""Seconds."""


class Hook:
    """One hook in the host's code path: its recent failures, and whether it is still on."""

    __slots__ = ("_recent", "disabled", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.disabled = False
        self._recent: tuple[float, ...] = ()
        HOOKS[name] = self

    def __repr__(self) -> str:
        state = "off" if self.disabled else "on"
        return f"<Hook {self.name} {state}, {self.failures} recent failures>"

    @property
    def failures(self) -> int:
        """How many recent failures count."""
        return len(self._recent)

    def failed(self, error: Exception) -> bool:
        """Take note of a failure; False where ``error`` is the host's and must pass."""
        if FACTS is not None:  # as all globals may be while the interpreter shuts down
            if is_the_hosts(error):
                return False
            at = now()
            self._recent = (*(then for then in self._recent if at - then < FORGIVEN_AFTER), at)
            if len(self._recent) > ALLOWED and not self.disabled:
                self.switch_off()
            FACTS.put(BEGUN, HookFailure(self.name, type(error).__name__, self.disabled))
        return True

    def switch_off(self) -> None:
        """Off until the next `reset`."""
        self.disabled = True

    def reset(self) -> None:
        """On again, without past failures."""
        self._recent = ()
        self.disabled = False


HOOKS: Final[dict[str, Hook]] = {}
