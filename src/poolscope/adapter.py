"""An observed adapter for requests, and a mixin for adapters of your own: no global patch.

session.mount("https://", poolscope.HTTPAdapter())

class MyAdapter(poolscope.AdapterMixin, SomebodysAdapter): ...
"""

from __future__ import annotations

from typing import Any

from requests import adapters

from poolscope.hooks.urllib3.install import trace_manager
from poolscope.instrumentor import observe

__all__ = ["AdapterMixin", "HTTPAdapter"]

_KIND = "requests.adapters.HTTPAdapter"


class AdapterMixin:
    """Observes the connections of the requests adapter it is mixed into; stand it before that class."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As in requests; also called when an adapter is unpickled."""
        super().init_poolmanager(*args, **options)  # type: ignore[misc]
        observe()
        trace_manager(self.poolmanager, _KIND, new=True)  # type: ignore[attr-defined]

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """As in requests."""
        manager = super().proxy_manager_for(*args, **options)  # type: ignore[misc]
        trace_manager(manager, _KIND, new=True)
        return manager


class HTTPAdapter(AdapterMixin, adapters.HTTPAdapter):
    """``requests.adapters.HTTPAdapter`` whose connections are observed; it can be pickled."""
