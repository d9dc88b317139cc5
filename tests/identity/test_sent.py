"""Whatever identifies the sender counts, under any name; whatever changes with each request does not."""

from __future__ import annotations

import gc
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from poolscope.identity import CALLS, Identity
from poolscope.identity.sent import credential
from poolscope.identity.values import value_of
from poolscope.testing import capture


def number(*requests: dict[str, Any]) -> int | None:
    """The identity of a client that sends these requests."""
    identity = Identity()
    for request in requests:
        identity.sends(request.get("headers", {}).items(), request.get("target", "/"), request.get("body"))
    return identity.number


def sent(what: str, value: str) -> dict[str, Any]:
    """A request with ``value`` in a header, in the query (``?name``) or in the body (``{name``)."""
    if what.startswith("?"):
        return {"target": f"/search{what}={value}&page=1"}
    if what.startswith("{"):
        return {"body": f'{{"{what[1:]}": "{value}", "lines": [1, 2]}}'}
    if what.startswith("&"):
        return {"body": f"grant_type=x&{what[1:]}={value}".encode()}
    return {"headers": {what: value}}


SOMEBODY = """
Authorization Proxy-Authorization X-API-Key Api-Key X-Auth-Token X-Vault-Token PRIVATE-TOKEN X-Shopify-Access-Token
Ocp-Apim-Subscription-Key DD-API-KEY DD-APPLICATION-KEY xi-api-key X-RapidAPI-Key X-Figma-Token X-Amz-Security-Token
Stripe-Account X-Goog-User-Project X-Tenant X-Forwarded-User Impersonate-User User-Agent Apca-Api-Key-Id X-MBX-APIKEY
X-Never-Heard-Of ?api_key ?key ?access_token ?apiKey ?sig ?password ?hapikey ?jwt ?X-Access-Token
?session {password {api_key {clientSecret {refresh_token &assertion &password &client_secret
""".split()
NOBODY = """
Accept Accept-Language Content-Length Content-Type Host Referer Range If-None-Match Date
X-Request-ID Idempotency-Key X-Correlation-Id x-ms-client-request-id amz-sdk-invocation-id X-Opaque-Id
traceparent tracestate baggage b3 X-B3-TraceId x-datadog-trace-id sentry-trace X-Amzn-Trace-Id X-Cloud-Trace-Context
X-Amz-Date X-Amz-Content-Sha256 x-stainless-retry-count
?q ?page ?id ?user_id ?offset ?filter ?name {name {user {amount {query &comment
""".split()


@pytest.mark.parametrize("what", SOMEBODY)
def test_values_that_identify_the_sender(what: str) -> None:
    assert number(sent(what, "ann")) == number(sent(what, "ann")) != number(sent(what, "bob"))


@pytest.mark.parametrize("what", NOBODY)
def test_values_that_identify_a_request(what: str) -> None:
    assert number(sent(what, "one")) == number(sent(what, "two"))


def test_headers_in_bytes_and_in_text_are_the_same() -> None:
    one, other = Identity(), Identity()
    one.sends([(b"X-Key", b"a")], b"/?token=1")
    other.sends([("x-key", "a")], "/?token=1")
    assert one.number == other.number


def test_a_long_opaque_value_is_a_secret_under_any_name() -> None:
    assert number({"target": "/?k=9f86d081884c7d659a2feaa0"}) != number(
        {"target": "/?k=60303ae22b998861bce3b28f"}
    )
    uuids = ("0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002")
    assert len({number({"target": f"/?item={each}"}) for each in uuids}) == 1


def test_userinfo_of_a_whole_url() -> None:
    assert number({"target": "http://ann:x@host/"}) != number({"target": "http://bob:x@host/"})


def test_a_token_set_after_the_first_call() -> None:
    first = {"body": '{"user": "anybody"}'}
    assert number(first) == number(first)
    assert number(first, sent("Authorization", "Bearer a")) != number(
        first, sent("Authorization", "Bearer b")
    )


def test_the_order_of_calls_does_not_matter() -> None:
    other: dict[str, Any] = {"headers": {}}
    one = sent("X-Key", "a")
    assert number(one, other) == number(other, one) == number(one, other, other)


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us/s3/aws4_request, SignedHeaders=host, Signature=aa",
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu/sqs/aws4_request, SignedHeaders=host, Signature=bb",
            "AWS4-HMAC-SHA256 Credential=OTHER/20260101/us/s3/aws4_request, SignedHeaders=host, Signature=aa",
        ),
        ("SharedKey account:aa", "SharedKey account:bb", "SharedKey other:aa"),
        (
            'Digest username="ann", realm="r", nonce="1", response="aa"',
            'Digest username="ann", realm="r", nonce="2", response="bb"',
            'Digest username="bob", realm="r", nonce="1", response="aa"',
        ),
        (
            'OAuth oauth_consumer_key="k", oauth_token="t", oauth_nonce="1", oauth_signature="a"',
            'OAuth oauth_consumer_key="k", oauth_token="t", oauth_nonce="2", oauth_signature="b"',
            'OAuth oauth_consumer_key="k", oauth_token="u", oauth_nonce="1", oauth_signature="a"',
        ),
        ("Bearer a", "Bearer a", "Bearer b"),
        ("Basic YTpi", "Basic YTpi", "Basic YTpj"),
        ("a token without a scheme", "a token without a scheme", "another"),
    ],
)
def test_a_signature_is_compared_by_its_key(one: str, same: str, other: str) -> None:
    assert credential(one) == credential(same) != credential(other)


@pytest.mark.parametrize(
    "cookie", ["AWSALB", "AWSALBCORS", "BIGipServerpool", "ARRAffinity", "SERVERID", "__cf_bm"]
)
def test_the_cookie_of_a_load_balancer_does_not_count(cookie: str) -> None:
    assert number(sent("Cookie", f"{cookie}=1")) == number(sent("Cookie", f"{cookie}=2"))
    assert number(sent("Cookie", f"{cookie}=1; sid=a")) != number(sent("Cookie", f"{cookie}=1; sid=b"))


def test_after_many_calls_a_client_is_no_longer_examined() -> None:
    identity = Identity()
    for _ in range(CALLS - 1):
        identity.sends([], "/")
    assert not identity.settled
    identity.sends([], "/")
    assert identity.settled
    before = identity.number
    identity.sends([("X-Key", "later")], "/")
    assert identity.number == before


def test_no_sent_value_can_be_reached() -> None:
    identity = Identity()
    identity.sends(
        [("Authorization", "Bearer s3cr3t-in-a-header")], "/?token=s3cr3t-in-a-query", "password=s3cr3t-body"
    )
    identity.is_set_up("auth", "s3cr3t-setting")
    waiting: list[Any] = [identity]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        assert "s3cr3t" not in (one if isinstance(one, str) else "")
        waiting += gc.get_referents(one)
    assert len(seen) > 3


def context(**changes: Any) -> ssl.SSLContext:
    made = ssl.create_default_context()
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_contexts_are_compared_by_what_they_do(tmp_path: Path) -> None:
    ca = trustme.CA()
    with capture():
        import httpx  # noqa: F401  (the hooks go in with a library)

        plain, same = context(), context()
        strict = context(minimum_version=ssl.TLSVersion.TLSv1_3)
        unchecked = context(check_hostname=False)
        trusting = context()
        ca.configure_trust(trusting)
        values = [repr(value_of(each)) for each in (plain, same, strict, unchecked, trusting)]
        assert values[0] == values[1]
        assert len(set(values)) == 4
        certified = [context(), context()]
        for each in certified:
            ca.issue_cert("me@example.org").configure_cert(each)
        assert repr(value_of(certified[0])) == repr(value_of(certified[0])) != repr(value_of(certified[1]))


def test_a_context_from_before_is_equal_only_to_itself() -> None:
    before = context()
    with capture():
        assert value_of(before) == value_of(before) != value_of(context())
