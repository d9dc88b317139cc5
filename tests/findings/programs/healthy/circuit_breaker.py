"""A circuit breaker in front of a server that answers 503: it stops calling for a while."""

import os
import time
from dataclasses import dataclass

import httpx

URL = os.environ["URL"]


class Open(Exception):
    pass


@dataclass
class Breaker:
    limit: int = 3
    rest: float = 0.1
    failures: int = 0
    opened_at: float = float("-inf")

    def call(self, client: httpx.Client, path: str) -> httpx.Response:
        if self.failures >= self.limit and time.monotonic() - self.opened_at < self.rest:
            raise Open
        try:
            answer = client.get(path).raise_for_status()
        except httpx.HTTPError:
            self.failures += 1
            self.opened_at = time.monotonic()
            raise
        self.failures = 0
        return answer


breaker = Breaker()
with httpx.Client(base_url=URL, timeout=2) as client:
    for n in range(30):
        try:
            breaker.call(client, f"/busy/{n}" if n < 12 else f"/fixed/{n}")
        except Open:
            time.sleep(0.02)
        except httpx.HTTPError:
            pass
