"""A thread pool with one session per thread (sessions are not promised to be thread-safe)."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import requests

URL = os.environ["URL"]
local = threading.local()


def session() -> requests.Session:
    if not hasattr(local, "session"):
        local.session = requests.Session()
    return local.session


def fetch(item: int) -> int:
    with session().get(f"{URL}/slow/5/{item}", timeout=5) as answer:
        return len(answer.content)


with ThreadPoolExecutor(6, thread_name_prefix="fetch") as pool:
    print(sum(pool.map(fetch, range(120))))
