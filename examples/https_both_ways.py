"""100 requests over https, without and with a Session: every new connection is a TLS handshake."""

import sys
import time

import requests

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100

started = time.perf_counter()
for _ in range(count):
    requests.get(url, timeout=10)
print(f"requests.get:     {time.perf_counter() - started:6.3f} s")

started = time.perf_counter()
with requests.Session() as session:
    for _ in range(count):
        session.get(url, timeout=10)
print(f"requests.Session: {time.perf_counter() - started:6.3f} s")
