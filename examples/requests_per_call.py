"""A session for every call: what requests.get() does. 100 requests, 100 connections."""

import sys

import requests

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100

total = 0.0
for _ in range(count):
    response = requests.get(url, timeout=10)
    total += response.elapsed.total_seconds()
print(f"{count} requests with requests.get: response.elapsed adds up to {total:.3f} s")
