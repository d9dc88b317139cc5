"""Follows `next` links with a generator that shares its caller's client."""

import os
from collections.abc import Iterator
from itertools import islice

import httpx

URL = os.environ["URL"]


def pages(client: httpx.Client, first: str) -> Iterator[list[int]]:
    following: str | None = first
    while following:
        page = client.get(following).raise_for_status().json()
        yield page["items"]
        following = page["next"]


with httpx.Client(base_url=URL) as client:
    rows = [row for page in pages(client, "/page/40/all") for row in page]
    newest = list(islice(pages(client, "/page/40/newest"), 2))
print(len(rows), len(newest))
