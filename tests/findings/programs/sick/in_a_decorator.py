"""A decorator that passes a client to each call: the client ends with the call."""

import functools
import os
from collections.abc import Callable
from typing import Any

import httpx

URL = os.environ["URL"]


def with_client(work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def wrapper(*args):
        with httpx.Client(base_url=URL) as client:  # here
            return work(client, *args)

    return wrapper


@with_client
def order(client, number):
    return client.get(f"/fixed/{number}").status_code


for number in range(40):
    order(number)
