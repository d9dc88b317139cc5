"""What holds for the clients of every library."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import requests
import urllib3

from poolscope.testing import capture
from tests.servers import Running


@pytest.mark.parametrize(
    "cls", [requests.Session, httpx.Client, urllib3.PoolManager, urllib3.HTTPConnectionPool]
)
def test_a_wrapper_left_between_two_of_ours_makes_no_second_client(cls: Any) -> None:
    plain = vars(cls)["__init__"]
    with capture():
        ours = cls.__init__

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            ours(self, *args, **kwargs)

        cls.__init__ = __init__
    try:
        with capture() as captured:
            made = [cls("127.0.0.1") if cls is urllib3.HTTPConnectionPool else cls() for _ in range(2)]
            for client in made:
                getattr(client, "clear" if cls is urllib3.PoolManager else "close")()
    finally:
        cls.__init__ = plain
    assert [client.close_kind for client in captured.clients] == ["close", "close"]


@pytest.mark.parametrize("cls", [requests.Session, httpx.Client, urllib3.PoolManager])
def test_a_client_built_under_suppression_is_reported_only_if_it_is_used_outside_it(
    cls: Any, server: Running
) -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    def use(client: Any) -> None:
        client.request("GET", server.url("/fixed/4"))

    with capture() as captured:
        with suppress_instrumentation():
            silent, aloud = cls(), cls()
            use(silent)
        use(aloud)
        for client in (silent, aloud):
            getattr(client, "clear" if cls is urllib3.PoolManager else "close")()
    assert [client.close_kind for client in captured.clients] == ["close"]
    assert len(captured.connections) == len(captured.exchanges) == 1
