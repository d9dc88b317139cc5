"""A client per tenant, kept: other tokens, other cookies, one of them behind a proxy."""

import os
from contextlib import ExitStack

import httpx

URL, PROXY = os.environ["URL"], os.environ["PROXY_URL"]
TENANTS = {name: f"key-of-{name}" for name in ("north", "south", "east", "west", "centre", "coast")}
context = httpx.create_ssl_context()

with ExitStack() as stack:
    clients = {
        name: stack.enter_context(
            httpx.Client(
                base_url=URL,
                headers={"Authorization": f"Bearer {key}"},
                cookies={"tenant": name},
                proxy=PROXY if name == "coast" else None,
                verify=context,
            )
        )
        for name, key in TENANTS.items()
    }
    for n in range(10):
        for name, client in clients.items():
            client.get(f"/fixed/{name}/{n}").raise_for_status()
