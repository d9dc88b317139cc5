"""A server that closes every connection after its answer: no client can do anything about that."""

import sys

import requests

url = sys.argv[1].rstrip("/") + "/closing"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20

with requests.Session() as session:
    for _ in range(count):
        session.get(url, timeout=10)
