"""A comprehension that builds a client for each element."""

import os

import httpx

URL = os.environ["URL"]


def statuses(paths):
    return [httpx.Client(base_url=URL).get(path).status_code for path in paths]  # here


print(statuses([f"/fixed/{n}" for n in range(40)]))
