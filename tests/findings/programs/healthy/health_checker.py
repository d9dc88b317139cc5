"""A health checker that wants a fresh connection each time, to see that the server accepts; it says so."""

import os
import time

import requests

URL = os.environ["URL"]

with requests.Session() as session:
    session.headers["Connection"] = "close"
    for _ in range(20):
        started = time.perf_counter()
        up = session.get(f"{URL}/healthz", timeout=5).ok
        print("up" if up else "down", round(time.perf_counter() - started, 3))
        time.sleep(0.02)
