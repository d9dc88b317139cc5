"""A thread pool that maps requests.get itself: no line of ours is between the pool and the library."""

import os
from concurrent.futures import ThreadPoolExecutor

import requests

URL = os.environ["URL"]

with ThreadPoolExecutor(5) as pool:
    answers = list(pool.map(requests.get, [f"{URL}/slow/5/{n}" for n in range(60)]))  # here
assert all(answer.ok for answer in answers)
