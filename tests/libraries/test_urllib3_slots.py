"""urllib3: a blocking pool lends slots; a slot that never returns is known, however the others return."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import urllib3
from urllib3.exceptions import HTTPError

from poolscope import testing
from poolscope.story.live import LIVE
from tests.servers import Running, in_thread


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


def read(pool: urllib3.PoolManager, url: str) -> None:
    pool.request("GET", url)


def read_later(pool: urllib3.PoolManager, url: str) -> None:
    assert pool.request("GET", f"{url}size/40000/x", preload_content=False).data


def released(pool: urllib3.PoolManager, url: str) -> None:
    pool.request("GET", f"{url}size/400000/x", preload_content=False).release_conn()


def redirected(pool: urllib3.PoolManager, url: str) -> None:
    pool.request("GET", f"{url}redirect/fixed/x")


def failed(pool: urllib3.PoolManager, url: str) -> None:
    pool.request("GET", f"{url}drop/x", retries=2)


def timed_out(pool: urllib3.PoolManager, url: str) -> None:
    pool.request("GET", f"{url}slow/300/x", timeout=0.05, retries=1)


def refused(pool: urllib3.PoolManager, _url: str) -> None:
    pool.request("GET", "http://127.0.0.1:9/", retries=False)


@pytest.mark.parametrize("use", [read, read_later, released, redirected, failed, timed_out, refused])
def test_every_slot_comes_back(server: Running, use: Callable[[urllib3.PoolManager, str], None]) -> None:
    LIVE.lent.clear()
    with testing.capture(), urllib3.PoolManager(block=True, maxsize=2) as pool:
        for _ in range(3):
            with suppress(HTTPError):
                use(pool, server.url("/"))
        assert not LIVE.lent


def test_a_response_that_is_only_closed_keeps_its_slot(server: Running) -> None:
    LIVE.lent.clear()
    with testing.capture() as captured, urllib3.PoolManager(block=True, maxsize=2) as pool:
        with pool.request("GET", server.url("/size/400000/x"), preload_content=False):
            pass
        (holder,) = captured.ledger.snapshot().holders
    assert holder.state == "not_given_back"
    assert holder.call_site is not None
    assert holder.call_site.file == __file__
    LIVE.lent.clear()


def test_pools_that_do_not_block_have_no_slots(server: Running) -> None:
    LIVE.lent.clear()
    with testing.capture(), urllib3.PoolManager() as pool:
        with pool.request("GET", server.url("/size/400000/x"), preload_content=False):
            assert not LIVE.lent
