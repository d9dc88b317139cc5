"""A partner's server closes each connection: HTTP/1.0 or `Connection: close`. The client cannot change that."""

import os

import urllib3

URL = os.environ["URL"]

with urllib3.PoolManager(timeout=urllib3.Timeout(connect=1, read=3), retries=False) as http:
    for n in range(12):
        assert http.request("GET", f"{URL}/close/{n}").status == 200
    for n in range(12):
        assert http.request("GET", f"{URL}/http10/{n}").data == b"old"
