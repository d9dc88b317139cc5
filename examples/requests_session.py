"""One session for all calls. 100 requests, 1 connection."""

import sys

import requests

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100

total = 0.0
with requests.Session() as session:
    for _ in range(count):
        response = session.get(url, timeout=10)
        total += response.elapsed.total_seconds()
print(f"{count} requests with a Session: response.elapsed adds up to {total:.3f} s")
