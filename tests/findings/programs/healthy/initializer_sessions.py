"""A pool initializer that gives each thread its httpx.Client, kept in a contextvar."""

import contextvars
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx

URL = os.environ["URL"]
current: contextvars.ContextVar[httpx.Client] = contextvars.ContextVar("client")
context = httpx.create_ssl_context()


def start(stack: ExitStack) -> None:
    current.set(stack.enter_context(httpx.Client(base_url=URL, verify=context, timeout=5)))


def fetch(item: int) -> int:
    return current.get().get(f"/slow/5/{item}").status_code


with ExitStack() as stack, ThreadPoolExecutor(4, initializer=start, initargs=(stack,)) as pool:
    assert set(pool.map(fetch, range(80))) == {200}
