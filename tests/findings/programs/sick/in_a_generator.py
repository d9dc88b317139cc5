"""A pagination generator that opens a client for each page."""

import os

import httpx

URL = os.environ["URL"]


def pages(path):
    while path:
        with httpx.Client(base_url=URL) as client:  # here
            page = client.get(path).json()
        yield page["items"]
        path = page["next"]


print(sum(len(page) for page in pages("/page/40/all")))
