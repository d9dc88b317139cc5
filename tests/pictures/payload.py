"""The contents of a page's payload, unpacked as the page's own script does it."""

from __future__ import annotations

import gzip
import json
import re
from array import array
from base64 import b64decode
from typing import Any


def unpacked(page: str) -> bytes:
    """Everything that the page holds besides its own parts, as bytes."""
    (data,) = re.findall(r'id="payload">([A-Za-z0-9+/=]*)</script>', page)
    return gzip.decompress(b64decode(data, validate=True))


def facts_in(page: str) -> dict[str, Any]:
    """The words and sums."""
    data = unpacked(page)
    length = int.from_bytes(data[:4], "little")
    facts: dict[str, Any] = json.loads(data[4 : 4 + length])
    return facts


def column(page: str, name: str) -> list[Any]:
    """The values of one column."""
    data, (kind, offset, length) = unpacked(page), facts_in(page)["columns"][name]
    start = int.from_bytes(data[:4], "little") + 4
    start += -start % 8 + offset
    values = array({"Float64": "d", "Uint32": "I"}[kind])
    values.frombytes(data[start : start + length * values.itemsize])
    return values.tolist()
