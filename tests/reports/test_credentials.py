"""The report says which clients differ only by their credentials, and never what the credentials are."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
import requests
import urllib3

from poolscope import testing
from poolscope.identity import Identity
from poolscope.reports.credentials import MIN_CLIENTS, Credentials
from tests.reports.stories import Story
from tests.servers import Running


def said(*clients: tuple[int, int | None]) -> str:
    """The counts of clients with these settings, with and without their credentials."""
    story, credentials = Story(), Credentials()
    for settings, apart in clients:
        credentials.add(story.client(settings=settings, apart_from_credentials=apart))
    return credentials.words()


def test_below_and_at_the_threshold() -> None:
    assert said(*((number, 99) for number in range(MIN_CLIENTS - 1))) == ""
    assert said(*((number, 99) for number in range(MIN_CLIENTS))) == f"{MIN_CLIENTS}, one per credential"


def test_some_credentials_are_repeated() -> None:
    assert said((1, 99), (2, 99), (1, 99), (2, 99)) == "4 for 2 credentials"
    assert said((1, 99), (1, 99), (1, 99)) == ""


def test_other_differences_are_not_credentials() -> None:
    assert said((1, 99), (2, 99), (3, 98)) == ""
    assert said((1, 99), (2, 99), (3, None)) == ""


CREDENTIALS = """
Authorization X-API-Key Api-Key X-Auth-Token X-Vault-Token PRIVATE-TOKEN X-Shopify-Access-Token Ocp-Apim-Subscription-Key
DD-API-KEY xi-api-key X-MBX-APIKEY X-Amz-Security-Token ?api_key ?access_token
""".split()
ANYTHING = "X-Tenant User-Agent X-Continuation-Token X-CSRF-Token X-Never-Heard-Of Cookie ?cursor ?page_token".split()


@pytest.mark.parametrize("what", [*CREDENTIALS, *ANYTHING])
def test_which_settings_are_credentials(what: str) -> None:
    identities = []
    for value in ("a" * 10 + "1b2c" * 5, "d" * 10 + "3e4f" * 5):
        identity = Identity()
        headers = {} if what[0] == "?" else {what: value}
        identity.sends(headers.items(), f"/{what}={value}" if what[0] == "?" else "/")
        identities.append(identity)
    one, other = identities
    assert one.number != other.number
    assert (one.apart == other.apart is not None) == (what in CREDENTIALS)


def by_requests(url: str, user: str) -> None:
    with requests.Session() as session:
        session.auth = (user, f"secret-of-{user}")
        session.get(url, timeout=5)


def by_httpx(url: str, user: str) -> None:
    with httpx.Client(headers={"X-Api-Key": f"secret-of-{user}"}, verify=False) as client:
        client.get(url)


def by_urllib3(url: str, user: str) -> None:
    with urllib3.PoolManager(headers={"Authorization": f"Bearer secret-of-{user}"}) as pool:
        pool.request("GET", url)


@pytest.mark.parametrize("call", [by_requests, by_httpx, by_urllib3])
def test_a_client_per_user(server: Running, call: Callable[[str, str], None]) -> None:
    with testing.capture() as captured:
        for user in ("ann", "bob", "cem"):
            call(server.origin, user)
    assert not captured.findings
    report = captured.report()
    assert "clients  3, one per credential" in report
    assert "ann" not in report
