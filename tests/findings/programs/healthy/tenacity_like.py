"""A retry decorator with exponential backoff and jitter over one httpx.Client."""

import functools
import os
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import httpx

URL = os.environ["URL"]
P = ParamSpec("P")
R = TypeVar("R")


def retry(times: int, first: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(call: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(call)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in range(times):
                try:
                    return call(*args, **kwargs)
                except (httpx.TransportError, httpx.HTTPStatusError):
                    if attempt == times - 1:
                        raise
                    time.sleep(first * 2**attempt * (0.5 + random.random()))
            raise AssertionError

        return wrapper

    return decorate


@retry(times=4, first=0.01)
def load(client: httpx.Client, order: int) -> bytes:
    kind = "flaky" if order % 7 == 0 else "fixed"
    return client.get(f"/{kind}/t{order}").raise_for_status().content


with httpx.Client(base_url=URL, timeout=3) as client:
    for order in range(35):
        load(client, order)
