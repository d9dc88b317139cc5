"""A client that is replaced every hour, so that moved names and new certificates are noticed (an hour is 40 requests)."""

import os

import httpx

URL = os.environ["URL"]


class Rotating:
    def __init__(self, lifetime: int) -> None:
        self._lifetime = lifetime
        self._context = httpx.create_ssl_context()
        self._client = self._fresh()

    def _fresh(self) -> httpx.Client:
        self._used = 0
        return httpx.Client(base_url=URL, verify=self._context, timeout=3)

    def __call__(self) -> httpx.Client:
        if self._used >= self._lifetime:
            self._client.close()
            self._client = self._fresh()
        self._used += 1
        return self._client


client = Rotating(lifetime=40)
for n in range(160):
    client().get(f"/slow/5/{n}").raise_for_status()
