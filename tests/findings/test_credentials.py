"""A client per user with the user's own credentials is never advised to be shared; a client per call still is."""

from __future__ import annotations

import functools
import itertools
import ssl
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from poolscope import testing
from tests.servers import Running

USERS = ("ann", "bob", "cem", "dia", "eva")
Call = Callable[[str, str], Any]
"""Builds a client for a user of the server at the URL, and makes a call or two."""


def codes(call: Call, url: str) -> list[str]:
    with testing.capture() as captured:
        for user in USERS:
            call(user, url)
    assert len(captured.exchanges) >= len(USERS)
    return [finding.code for finding in captured.findings]


def session(user: str, url: str, **attributes: Any) -> None:
    with requests.Session() as made:
        for name, value in attributes.items():
            setattr(made, name, value)
        made.get(url, timeout=5)


def client(user: str, url: str, **options: Any) -> None:
    with httpx.Client(**options) as made:
        made.get(url)


def manager(url: str, **options: Any) -> None:
    with urllib3.PoolManager(**options) as made:
        made.request("GET", url)


def token_after_login(user: str, url: str) -> None:
    with httpx.Client(base_url=url) as made:
        made.post("/fixed", json={"user": user})
        made.headers["Authorization"] = f"Bearer {user}"
        made.get("/fixed")


def cookie_after_login(user: str, url: str) -> None:
    with requests.Session() as made:
        made.post(f"{url}login/{user}", timeout=5)
        made.get(url, timeout=5)


def key_by_hook(user: str, url: str) -> None:
    def sign(request: httpx.Request) -> None:
        request.headers["X-Key"] = user

    client(user, url, event_hooks={"request": [sign]})


def session_with(header: str, user: str, url: str) -> None:
    session(user, url, headers={header: f"is={user}"})


def call_with(header: str, user: str, url: str) -> None:
    httpx.get(url, headers={header: f"is={user}"})


def with_userinfo(url: str, user: str) -> str:
    return url.replace("://", f"://{user}:pw@")


class HeaderAuth(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: Any) -> Any:
        request.headers["X-Token"] = self.token
        return request


class Bearer(httpx.Auth):
    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


class Audit:
    """Records what one user's client was answered."""

    def __init__(self, user: str) -> None:
        self.seen: list[str] = [user]

    def __call__(self, response: Any, *_: Any, **__: Any) -> None:
        self.seen.append(str(response.url))


def note(user: str, response: Any) -> None:
    """Only the hook knows which user's answer it was."""


HEADERS = (
    "Authorization X-Vault-Token X-Shopify-Access-Token PRIVATE-TOKEN X-Auth-Token Ocp-Apim-Subscription-Key DD-API-KEY"
    " X-Figma-Token xi-api-key X-RapidAPI-Key Stripe-Account X-Tenant User-Agent Cookie".split(" ")
)
OF_THEIR_OWN: dict[str, Call] = {
    "token after login": token_after_login,
    "cookie after login": cookie_after_login,
    "key by an event hook": key_by_hook,
    "audit hook": lambda user, url: client(user, url, event_hooks={"response": [Audit(user)]}),
    "partial of a hook": lambda user, url: client(user, url, event_hooks={"response": [functools.partial(note, user)]}),
    "audit of a session": lambda user, url: session(user, url, hooks={"response": [Audit(user)]}),
    "params of a client": lambda user, url: client(user, url, params={"api_key": user}),
    "any params of a client": lambda user, url: client(user, url, params={"t": user}),
    "params of a session": lambda user, url: session(user, url, params={"t": user}),
    "key in the query": lambda user, url: requests.get(url, params={"access_token": user}, timeout=5),
    "userinfo": lambda user, url: requests.get(with_userinfo(url, user), timeout=5),
    "userinfo in the base": lambda user, url: client(user, "/", base_url=with_userinfo(url, user)),
    "address in the base": lambda user, url: client(user, "x", base_url=f"{url}{user}/"),
    "basic": lambda user, url: httpx.get(url, auth=(user, "pw")),
    "basic of requests": lambda user, url: requests.get(url, auth=(user, "pw"), timeout=5),
    "a custom auth class": lambda user, url: httpx.get(url, auth=Bearer(user)),
    "a custom auth class of requests": lambda user, url: requests.get(url, auth=HeaderAuth(user), timeout=5),
    "cookies": lambda user, url: httpx.get(url, cookies={"sid": user}),
    "form": lambda user, url: requests.post(url, data={"username": "x", "password": user}, timeout=5),
    "json": lambda user, url: httpx.post(url, json={"password": user}),
    "headers of a manager": lambda user, url: manager(url, headers={"X-Key": user}),
    "address of a manager": lambda user, url: manager(url, source_address=(f"127.0.0.{USERS.index(user) + 2}", 0)),
    "address of a transport": lambda user, url: client(
        user, url, transport=httpx.HTTPTransport(local_address=f"127.0.0.{USERS.index(user) + 2}")
    ),
    **{f"session {name}": partial(session_with, name) for name in HEADERS},
    **{f"call {name}": partial(call_with, name) for name in HEADERS},
}  # fmt: skip


@pytest.mark.parametrize("how", OF_THEIR_OWN)
def test_credentials_of_their_own(server: Running, how: str) -> None:
    assert "PS101" not in codes(OF_THEIR_OWN[how], server.url("/"))


_serial = itertools.count(1)


def log(_: Any) -> None:
    """The same hook for all clients."""


def with_adapter(user: str, url: str) -> None:
    with requests.Session() as made:
        made.mount("http://", HTTPAdapter(max_retries=3))
        made.get(url, timeout=5)


def signed(user: str, url: str) -> None:
    signature = (
        f"AWS4-HMAC-SHA256 Credential=AKID/d/r/s/aws4_request, SignedHeaders=host, Signature={uuid.uuid4()}"
    )
    requests.get(url, headers={"Authorization": signature, "X-Amz-Date": str(next(_serial))}, timeout=5)


ALIKE: dict[str, Call] = {
    "another path each": lambda user, url: requests.get(f"{url}{user}", timeout=5),
    "another query each": lambda user, url: requests.get(url, params={"q": user, "page": user}, timeout=5),
    "another id each": lambda user, url: httpx.get(url, params={"id": str(uuid.uuid4())}),
    "another body each": lambda user, url: httpx.post(url, json={"name": user, "lines": [1, 2]}),
    "request ids": lambda user, url: httpx.get(
        url, headers={"X-Request-ID": str(uuid.uuid4()), "traceparent": f"00-{uuid.uuid4().hex}-1-01"}
    ),
    "a signature each": signed,
    "one token for all": lambda user, url: requests.get(url, auth=HeaderAuth("same"), timeout=5),
    "one hook for all": lambda user, url: client(user, url, event_hooks={"request": [log]}),
    "a context each": lambda user, url: client(user, url, verify=ssl.create_default_context()),
    "a transport each": lambda user, url: client(user, url, transport=httpx.HTTPTransport(retries=2)),
    "an adapter each": with_adapter,
    "a manager each": lambda user, url: manager(url),
}


@pytest.mark.parametrize("how", ALIKE)
def test_a_client_per_call_with_nothing_of_its_own(server: Running, how: str) -> None:
    assert "PS101" in codes(ALIKE[how], server.url("/"))
