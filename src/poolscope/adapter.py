"""An observed adapter for requests, and a mixin for adapters of your own: only their connections are observed.

session.mount("https://", poolscope.HTTPAdapter())

class MyAdapter(poolscope.AdapterMixin, SomebodysAdapter): ...
"""

from __future__ import annotations

from typing import Any

from requests import adapters

from poolscope.instrumentor import observe
from poolscope.libraries.urllib3 import manager

__all__ = ["AdapterMixin", "HTTPAdapter"]

_KIND = "requests.adapters.HTTPAdapter"


class AdapterMixin:
    """Observes the connections of a requests adapter; name it before that class among the bases."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As in requests; also called when an adapter is unpickled."""
        observe("urllib3", "requests")
        with manager.observed_as(_KIND):
            super().init_poolmanager(*args, **options)  # type: ignore[misc]
        manager.observe(self.poolmanager, _KIND)  # type: ignore[attr-defined]

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """As in requests."""
        with manager.observed_as(_KIND):
            made = super().proxy_manager_for(*args, **options)  # type: ignore[misc]
        manager.observe(made, _KIND)
        return made


class HTTPAdapter(AdapterMixin, adapters.HTTPAdapter):
    """``requests.adapters.HTTPAdapter`` whose connections are observed; it can be pickled."""
