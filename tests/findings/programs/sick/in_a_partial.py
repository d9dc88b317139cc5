"""functools.partial over requests.request: the name `get` hides that each call builds a session."""

import os
from functools import partial

import requests

URL = os.environ["URL"]
get = partial(requests.request, "GET", timeout=3)


def stock(sku):
    return get(f"{URL}/fixed/{sku}").ok  # here


assert all(map(stock, range(40)))
