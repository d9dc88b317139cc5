"""A client for every call, in three spellings; the third is right.

httpx.Client() loads the CA certificates, which takes 10 to 30 ms of CPU, even for plain http.
"""

import sys

import httpx

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20


def fetch() -> httpx.Response:
    with httpx.Client() as client:
        return client.get(url)


for _ in range(count):
    httpx.get(url)

for _ in range(count):
    fetch()

with httpx.Client() as client:
    for _ in range(count):
        client.get(url)
