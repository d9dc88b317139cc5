"""A client for every call, in three spellings; the third is the one that is right.

httpx.Client() loads the CA certificates: 25 ms of CPU, for plain http as well.
"""

import sys

import httpx

url = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
verify = sys.argv[3] if len(sys.argv) > 3 else True


def fetch() -> httpx.Response:
    with httpx.Client(verify=verify) as client:
        return client.get(url)


for _ in range(count):
    httpx.get(url, verify=verify)

for _ in range(count):
    fetch()

with httpx.Client(verify=verify) as client:
    for _ in range(count):
        client.get(url)
