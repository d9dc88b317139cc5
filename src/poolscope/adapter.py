"""An observed adapter for requests, and a mixin for adapters of your own: only their connections are observed.

session.mount("https://", poolscope.HTTPAdapter())

class MyAdapter(poolscope.AdapterMixin, SomebodysAdapter): ...
"""

from __future__ import annotations

from typing import Any

from requests import adapters

from poolscope.instrumentor import observe
from poolscope.libraries.urllib3 import manager
from poolscope.story.pool import name_for

__all__ = ["AdapterMixin", "HTTPAdapter"]

_KIND = "requests.adapters.HTTPAdapter"


class AdapterMixin:
    """Observes the connections of a requests adapter; name it before that class among the bases."""

    pool_name: str | None = None
    """The name of its pools in metrics and spans."""

    def __init__(self, *args: Any, pool_name: str | None = None, **options: Any) -> None:
        """As in requests; ``pool_name`` is the name of its pools in metrics and spans."""
        self.pool_name = name_for(pool_name)
        super().__init__(*args, **options)

    def __getstate__(self) -> dict[str, Any]:
        """As in requests, with the name."""
        state: Any = super().__getstate__()
        return {**state, "pool_name": self.pool_name}

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As in requests; also called when an adapter is unpickled."""
        observe("urllib3", "requests")
        with manager.observed_as(_KIND, self.pool_name):
            super().init_poolmanager(*args, **options)  # type: ignore[misc]
        manager.observe(self.poolmanager, _KIND)  # type: ignore[attr-defined]

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """As in requests."""
        with manager.observed_as(_KIND, self.pool_name):
            made = super().proxy_manager_for(*args, **options)  # type: ignore[misc]
        manager.observe(made, _KIND)
        return made


class HTTPAdapter(AdapterMixin, adapters.HTTPAdapter):
    """``requests.adapters.HTTPAdapter`` with observed connections; it can be pickled."""
