"""A thread pool over one session; the pool of its adapter is as big as the thread pool."""

import os
from concurrent.futures import ThreadPoolExecutor, as_completed

import requests
from requests.adapters import HTTPAdapter

URL = os.environ["URL"]
WORKERS = 16

session = requests.Session()
session.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=WORKERS))

with session, ThreadPoolExecutor(WORKERS) as pool:
    futures = {pool.submit(session.get, f"{URL}/slow/10/{n}", timeout=5): n for n in range(160)}
    for future in as_completed(futures):
        assert future.result().ok
