"""What is true of the clients of every library."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import requests
import urllib3

from poolscope.testing import capture


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
                (client.clear if cls is urllib3.PoolManager else client.close)()
    finally:
        cls.__init__ = plain
    assert [client.close_kind for client in captured.clients] == ["close", "close"]
