"""Streamed responses that are not read to the end: their connections cannot be reused."""

import sys

import requests

url = sys.argv[1].rstrip("/") + "/large"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20

with requests.Session() as session:
    for _ in range(count):
        with session.get(url, stream=True, timeout=10) as response:
            response.raise_for_status()  # only the status was wanted
