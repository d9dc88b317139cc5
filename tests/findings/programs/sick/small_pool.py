"""Sixteen threads share a session with room for two idle connections: the others are thrown away."""

import os
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter

URL = os.environ["URL"]
session = requests.Session()  # or here
session.mount("http://", HTTPAdapter(pool_maxsize=2))  # or here


def fetch(number):
    return session.get(f"{URL}/slow/5/{number}", timeout=5).ok  # or here


with ThreadPoolExecutor(16) as pool:
    assert all(pool.map(fetch, range(200)))
