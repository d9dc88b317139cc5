"""Uploads: a generator as a chunked body, and a multipart file, over one httpx.Client."""

import io
import os
from collections.abc import Iterator

import httpx

URL = os.environ["URL"]


def blocks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"z" * 65536


with httpx.Client(base_url=URL, timeout=httpx.Timeout(5, write=30)) as client:
    for n in range(5):
        assert client.put(f"/upload/stream{n}", content=blocks(16)).json()["size"] == 16 * 65536
    for n in range(5):
        files = {"file": (f"{n}.csv", io.BytesIO(b"a,b\n" * 50_000), "text/csv")}
        client.post(f"/upload/form{n}", files=files).raise_for_status()
