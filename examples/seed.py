"""The same requests both ways: 1,000 on 1,000 connections, then 1,000 on one.

response.elapsed of requests contains the setup of the connection, although it is documented to begin with
the first byte sent: a new connection for every request looks like a slow server.
"""

import sys
import time

import requests

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000


def with_get() -> float:
    elapsed = 0.0
    for _ in range(count):
        elapsed += requests.get(url, timeout=10).elapsed.total_seconds()
    return elapsed


def with_session() -> float:
    elapsed = 0.0
    with requests.Session() as session:
        for _ in range(count):
            elapsed += session.get(url, timeout=10).elapsed.total_seconds()
    return elapsed


for name, run in (("requests.get", with_get), ("requests.Session", with_session)):
    started = time.perf_counter()
    elapsed = run()
    took = time.perf_counter() - started
    print(f"{name:<17} {count} requests: {took:6.3f} s by the clock, {elapsed:6.3f} s in response.elapsed")
