"""A client that is replaced every hour, so that moved names and new certificates are noticed (time shrunk)."""

import os
import time

import httpx

URL = os.environ["URL"]


class Rotating:
    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._context = httpx.create_ssl_context()
        self._client = self._fresh()

    def _fresh(self) -> httpx.Client:
        self._born = time.monotonic()
        return httpx.Client(base_url=URL, verify=self._context, timeout=3)

    def __call__(self) -> httpx.Client:
        if time.monotonic() - self._born > self._lifetime:
            self._client.close()
            self._client = self._fresh()
        return self._client


client = Rotating(lifetime=0.25)
for n in range(120):
    client().get(f"/slow/8/{n}").raise_for_status()
