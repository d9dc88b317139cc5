"""HEAD, 204, 304, gzip, chunked and redirects over one urllib3 pool."""

import os

import urllib3

URL = os.environ["URL"]
host, port = URL.removeprefix("http://").split(":")

with urllib3.HTTPConnectionPool(host, int(port), maxsize=1, headers={"Accept-Encoding": "gzip"}) as pool:
    tag = pool.request("GET", "/unchanged/1").headers["ETag"]
    for n in range(8):
        assert pool.request("HEAD", f"/part/{n}000").data == b""
        assert pool.request("DELETE", f"/empty/{n}").status == 204
        assert pool.request("GET", "/unchanged/1", headers={"If-None-Match": tag}).status == 304
        assert len(pool.request("GET", f"/packed/{n}").json()["items"]) == 100
        assert pool.request("GET", f"/chunked/{n}").data.startswith(b"one")
        assert pool.request("GET", f"/redirect/fixed/{n}").data == b"ok"
